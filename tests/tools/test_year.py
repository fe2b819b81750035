"""At moments of a simulated year, the alerts are those that are right: none is missing, none is false."""

from pathlib import Path

from tests.support import promtool
from tests.support.year import SCRAPE_INTERVAL
from tests.support.year_cast import steady_moments, year
from tests.support.year_history import FIRING, HISTORY, histories, right_alerts

SEED, MOMENTS = 1, 50
AT_ONCE = 50
"""promtool refuses to read too many samples in one query."""


def test_promtool_finds_the_alerts_that_are_right_at_moments_of_a_year(tmp_path: Path) -> None:
    moments = steady_moments(year(SEED), MOMENTS, SEED)
    sections = (
        promtool.Section(
            histories(part, HISTORY), HISTORY, {FIRING: [(alert, 1) for alert in right_alerts(part)]}
        )
        for part in (moments[first : first + AT_ONCE] for first in range(0, MOMENTS, AT_ONCE))
    )
    assert promtool.failures(tmp_path, SCRAPE_INTERVAL, sections) == ""
