"""What is scraped before a moment of the simulated year."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tests.support.promtool import Values, braces
from tests.support.year import HOUR, SCRAPE_INTERVAL, exposed
from tests.support.year_cast import Moment

HISTORY = 8 * HOUR
"""The rules look back 6 hours."""
SCRAPES = int(HISTORY / SCRAPE_INTERVAL) + 1
FIRING = 'count without (zone, alertstate) (ALERTS{alertstate="firing"})'
"""1 for each alert, by all its labels but the replica's; 2 would be one alert twice."""


def named(moment: Moment, number: int) -> str:
    """Return the name under which the portal of a moment is exposed: each moment has a portal of its own."""
    return f"{moment.portal.name}-{number}"


def histories(moments: Sequence[Moment], now: float, first: int = 0) -> dict[str, Values]:
    """Return what was scraped in the hours before the moments, as if all of them were `now`."""
    series: dict[str, Values] = {"docspace_exporter_build_info": [1.0] * SCRAPES}
    for number, moment in enumerate(moments, first):
        series.update(_history(moment, named(moment, number), now - moment.time))
    return series


def right_alerts(moments: Sequence[Moment], first: int = 0) -> list[dict[str, str]]:
    """Return the labels of all alerts that are right at the moments."""
    return [
        {**dict(alert), "portal": named(moment, number)}
        for number, moment in enumerate(moments, first)
        for alert in moment.alerts
    ]


def _history(moment: Moment, name: str, shift: float) -> Iterator[tuple[str, Values]]:
    """Yield series with all their times shifted."""
    begin = moment.time - HISTORY
    keys = [
        key for key in moment.portal.keys if key.created <= moment.time and key.deleted > begin - 30 * HOUR
    ]
    portal = replace(moment.portal, keys=tuple(keys))
    for replica in portal.replicas:
        series: dict[str, list[float | None]] = {}
        for step in range(SCRAPES):
            for metric, labels, value in exposed(portal, replica, begin + step * SCRAPE_INTERVAL):
                full = {**labels, "portal": name, "zone": replica.zone}
                if metric == "docspace_portal_info":
                    full["url"] = f"https://{name}.example"
                values = series.setdefault(metric + braces(full), [None] * SCRAPES)
                values[step] = value + shift if _is_time(metric, value) else value
        yield from series.items()


def _is_time(metric: str, value: float) -> bool:
    never = metric == "docspace_poll_last_success_timestamp_seconds" and value == 0
    return metric.endswith("_timestamp_seconds") and not never
