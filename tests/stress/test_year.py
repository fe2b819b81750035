"""At 400 moments of a simulated year, alerts are right in promtool, and in vmalert with VictoriaMetrics."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import requests

from tests.support import promtool, vmalert
from tests.support.processes import victoria_metrics
from tests.support.year import SCRAPE_INTERVAL
from tests.support.year_cast import Moment, steady_moments, year
from tests.support.year_history import FIRING, HISTORY, SCRAPES, histories, right_alerts

SEED, MOMENTS = 2, 400
AT_ONCE = 50
"""promtool refuses to read too many samples in one query."""
INTERVAL = int(SCRAPE_INTERVAL)


@pytest.fixture(scope="module")
def moments() -> Sequence[Moment]:
    return steady_moments(year(SEED), MOMENTS, SEED)


def test_promtool_finds_the_alerts_that_are_right(moments: Sequence[Moment], tmp_path: Path) -> None:
    sections = (
        promtool.Section(
            histories(part, HISTORY), HISTORY, {FIRING: [(alert, 1) for alert in right_alerts(part)]}
        )
        for part in (moments[first : first + AT_ONCE] for first in range(0, MOMENTS, AT_ONCE))
    )
    assert promtool.failures(tmp_path, SCRAPE_INTERVAL, sections) == ""
    print(f"\n{MOMENTS} moments, {len(right_alerts(moments))} alerts in promtool: 0 missed, 0 false")


def test_vmalert_finds_the_alerts_that_are_right(moments: Sequence[Moment], tmp_path: Path) -> None:
    now = int(time.time()) // INTERVAL * INTERVAL - INTERVAL
    begin = now - (SCRAPES - 1) * INTERVAL
    with victoria_metrics(tmp_path, {}) as database:
        vmalert.import_series(database.url, begin, INTERVAL, histories(moments, now))
        vmalert.replay(tmp_path, database.url, begin, now, INTERVAL)
        found = Counter(map(_key, _firing(database.url, now)))
    right = Counter(map(_key, right_alerts(moments)))
    missed, false = right - found, found - right
    assert not missed
    assert not false
    print(f"\n{MOMENTS} moments, {right.total()} alerts in vmalert: 0 missed, 0 false")


def _firing(url: str, now: int) -> list[Mapping[str, str]]:
    parameters = {"query": 'ALERTS{alertstate="firing"}', "time": str(now)}
    response = requests.get(f"{url}/api/v1/query", params=parameters, timeout=60)
    return [series["metric"] for series in response.json()["data"]["result"]]


def _key(labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    others = ("__name__", "alertstate", "zone", "alertgroup")
    return tuple(sorted((name, value) for name, value in labels.items() if name not in others and value))
