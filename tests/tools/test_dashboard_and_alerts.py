"""The tiles of the dashboard count what the alerts hold at the same moment."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import requests
import yaml

from docspace_exporter.demo import DemoKey, DemoPortal, User, sample_keys
from tests.support import processes
from tests.support.dashboard import View, tile
from tests.support.processes import Program, wait_for

ALERTS = {
    "Portals down": "DocSpacePortalDown",
    "Critical": "DocSpaceApiKeyExpiryImminent",
    "Warning": "DocSpaceApiKeyExpiringSoon",
    "Expired in use": "DocSpaceApiKeyExpiredInUse",
    "Owner disabled": "DocSpaceApiKeyOwnerDisabled",
    "Exporter's key": "DocSpaceExporterKeyExpiring",
    "Unused": "DocSpaceApiKeysUnused",
    "Full access": "DocSpaceApiKeysFullAccess",
    "Never expire": "DocSpaceApiKeysNeverExpire",
}
COUNTING = {"Unused", "Full access", "Never expire"}
"""Their alerts are one a portal, and its value is the count."""

EXCEPTIONS = [
    {"name": "excepted*", "allow": ["expiry", "never_expires", "full_access", "unused"], "reason": "a test"}
]


def keys_of_each_state(now: datetime) -> list[DemoKey]:
    """Return keys in each state, once with and once without an exception; the last is the exporter's own."""
    ann = User("Ann", is_admin=True)
    gone = User("Gone", is_disabled=True)

    def key(
        name: str, expires: float | None, used: float | None, owner: User = ann, **more: object
    ) -> DemoKey:
        return DemoKey(
            name=name,
            owner=owner,
            created=now - timedelta(days=200),
            expires=None if expires is None else now + timedelta(days=expires),
            last_used=None if used is None else now - timedelta(days=used),
            permissions=() if name.endswith("full") else ("*:read",),
            active=bool(more.get("active", True)),
        )

    keys = [
        (name, expires, used)
        for prefix in ("", "excepted ")
        for name, expires, used in (
            (f"{prefix}critical", 1, 0.1),
            (f"{prefix}warning", 10, 0.1),
            (f"{prefix}expired", -1, 1.1),
            (f"{prefix}expired, not in use", -1, 120),
            (f"{prefix}expired long ago", -8, 8.1),
            (f"{prefix}never", None, 0.1),
            (f"{prefix}full", 100, 0.1),
            (f"{prefix}unused", 100, 91),
            (f"{prefix}never used", 100, None),
        )
    ]
    return [
        *(key(*fields) for fields in keys),
        key("replaced, still used", 2, 0.1),
        key("replaced, still used", 102, None),
        key("replaced", 2, 3),
        key("replaced", 102, 0.1),
        key("owner disabled", 100, 1, gone),
        key("owner disabled, critical", 2, 1, gone),
        key("owner disabled, idle", 100, 9, gone),
        key("off", 2, 1, active=False),
        key("own", 9, 0),
    ]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Run the exporter on three portals, and a Prometheus that evaluates the rules every second."""
    directory = tmp_path_factory.mktemp("alerts")
    now = datetime.now(UTC)
    with ExitStack() as stack:
        demo = stack.enter_context(DemoPortal(sample_keys(now)))
        states = stack.enter_context(DemoPortal(keys_of_each_state(now)))
        portals = [
            {"name": "demo", "url": demo.url, "api_key": demo.keys[-1].secret},
            {
                "name": "states",
                "url": states.url,
                "api_key": states.keys[-1].secret,
                "exceptions": EXCEPTIONS,
            },
            {"name": "down", "url": "http://127.0.0.1:1", "api_key": "sk-none"},
        ]
        (directory / "config.yaml").write_text(yaml.safe_dump({"poll_interval": "10s", "portals": portals}))
        exporter = stack.enter_context(processes.exporter(directory, "--config.file=config.yaml"))
        rules = (processes.ROOT / "prometheus" / "rules.yml").read_text()
        (directory / "rules.yml").write_text(rules.replace("interval: 1m", "interval: 1s"))
        target = exporter.url.removeprefix("http://")
        job = {"job_name": "docspace", "static_configs": [{"targets": [target]}]}
        scraping = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [job],
            "rule_files": ["rules.yml"],
        }
        database = stack.enter_context(processes.prometheus(directory, scraping))
        wait_for(lambda: "DocSpacePortalDown" in held(database, "down"), "alerts of the last portal")
        wait_for(lambda: "DocSpaceApiKeysFullAccess" in held(database, "states"), "the last of the rules")
        yield database


def held(database: Program, portal: str) -> Mapping[str, list[float]]:
    """Return the values of the alerts on a portal, pending or firing."""
    alerts = requests.get(f"{database.url}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
    found: dict[str, list[float]] = {}
    for alert in alerts:
        if alert["labels"].get("portal") == portal:
            found.setdefault(alert["labels"]["alertname"], []).append(float(alert["value"]))
    return found


@pytest.mark.parametrize("portal", ["demo", "states", "down"])
def test_tiles_count_what_the_alerts_hold(database: Program, portal: str) -> None:
    alerts = held(database, portal)
    view = View(database.url, time.time(), 3600, 60, [portal])
    shown = {title: tile(view, title) or 0 for title in ALERTS}
    expected = {
        title: sum(alerts.get(alert, ())) if title in COUNTING else len(alerts.get(alert, ()))
        for title, alert in ALERTS.items()
    }
    assert shown == expected
    zero = {
        "demo": {"Portals down", "Exporter's key"},
        "states": {"Portals down"},
        "down": {*ALERTS} - {"Portals down"},
    }
    assert {title for title, count in shown.items() if not count} == zero[portal]
