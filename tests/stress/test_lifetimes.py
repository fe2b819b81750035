"""Alerts on keys of every lifetime, hour by hour: each begins at its threshold and ends at the expiry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace.model import ApiKey
from docspace_exporter.policy import thresholds
from tests.support import promtool

HOUR, DAY = 3600, 86_400
CONFIGURED = {"default": (14 * DAY, 3 * DAY), "early": (60 * DAY, 20 * DAY), "late": (2 * DAY, 12 * HOUR)}
"""Warning and critical thresholds by portal."""
LIFETIMES = (1, 7, 30, 90, 365)
UNKNOWN = 40
"""Days until the expiry of a key whose creation is unknown."""
ALERTS = {"DocSpaceApiKeyExpiringSoon": 3, "DocSpaceApiKeyExpiryImminent": 10}
"""The part of a key's lifetime at which each begins at the earliest."""


def series(name: str, lifetime: int, created: float | None) -> Iterator[tuple[str, promtool.Values]]:
    """Yield what is exposed in every hour of a key that is created at 0, and a day longer."""
    labels = f'portal="{name}",id="k1",name="job",postfix="9f3a"'
    hours = [float(hour * HOUR) for hour in range((lifetime + 1) * 24 + 1)]
    expiry = float(lifetime * DAY)
    warning, critical = CONFIGURED[name]
    portal = Portal(name=name, url="https://x.example", expiry_warning=warning, expiry_critical=critical)
    seen = [time or 1.0 for time in hours]
    yield f'docspace_poll_last_success_timestamp_seconds{{portal="{name}"}}', seen
    yield f"docspace_api_key_last_seen_timestamp_seconds{{{labels}}}", seen
    yield f"docspace_api_key_expiry_timestamp_seconds{{{labels}}}", [expiry] * len(hours)
    yield f"docspace_api_key_active{{{labels}}}", [1.0] * len(hours)
    for severity, seconds in thresholds(ApiKey(id="k1", created=created, expiry=expiry), portal).items():
        threshold = f'docspace_api_key_expiry_threshold_seconds{{{labels},severity="{severity}"}}'
        yield threshold, [seconds] * len(hours)


def hours_of_alert(lifetime: int, configured: float, part: int | None) -> list[int]:
    """Return the hours in which less is left than configured, and than a part of the lifetime."""
    threshold = min(configured, lifetime * DAY / part) if part else configured
    return [hour for hour in range(lifetime * 24) if lifetime * DAY - hour * HOUR < threshold]


@pytest.mark.parametrize(
    ("lifetime", "knows_creation"),
    [*((days, True) for days in LIFETIMES), (UNKNOWN, False)],
    ids=[*(f"{days}_days" for days in LIFETIMES), "unknown_creation"],
)
def test_an_alert_holds_from_its_threshold_to_the_expiry(
    lifetime: int, knows_creation: bool, tmp_path: Path
) -> None:
    exposed = {
        name: values
        for portal in CONFIGURED
        for name, values in series(portal, lifetime, 0.0 if knows_creation else None)
    }
    expected: dict[str, list[tuple[dict[str, str], float]]] = {}
    for number, (alert, part) in enumerate(ALERTS.items()):
        held = f'max by (portal) (timestamp(ALERTS{{alertname="{alert}"}}))[{lifetime + 1}d:1h]'
        for portal, configured in CONFIGURED.items():
            hours = hours_of_alert(lifetime, configured[number], part if knows_creation else None)
            print(f"\n{lifetime} days, {portal}: {alert} in {len(hours)} hours, first {hours[0]}", end="")
            for measured, value in (
                ("min", hours[0] * HOUR),
                ("max", hours[-1] * HOUR),
                ("count", len(hours)),
            ):
                samples = expected.setdefault(f"{measured}_over_time({held})", [])
                samples.append(({"portal": portal}, float(value)))
    section = promtool.Section(exposed, (lifetime + 1) * DAY, expected)
    assert promtool.failures(tmp_path, HOUR, [section]) == ""
