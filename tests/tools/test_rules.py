"""The alert rules: Prometheus' tools accept them, stories show what each does, runbooks what to do."""

import itertools
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.support import processes

PROMETHEUS = processes.ROOT / "prometheus"
RULES = PROMETHEUS / "rules.yml"
RUNBOOKS = processes.ROOT / "docs" / "alerts.md"
STORIES = sorted(Path(__file__).with_name("rules").glob("*.yml"))

SEVERITY_AND_WAIT = {
    "DocSpaceApiKeyExpiringSoon": ("warning", "5m"),
    "DocSpaceApiKeyExpiryImminent": ("critical", "5m"),
    "DocSpaceApiKeyExpiredInUse": ("critical", "5m"),
    "DocSpaceApiKeyDisabledInUse": ("warning", "5m"),
    "DocSpaceApiKeyOwnerDisabled": ("warning", "5m"),
    "DocSpaceExporterKeyExpiring": ("critical", "5m"),
    "DocSpaceApiKeysUnused": ("info", "1h"),
    "DocSpaceApiKeysNeverExpire": ("info", "1h"),
    "DocSpaceApiKeysFullAccess": ("info", "1h"),
    "DocSpacePortalDown": ("critical", "1m"),
    "DocSpaceViewIncomplete": ("warning", "15m"),
    "DocSpaceKeysMalformed": ("warning", "15m"),
    "DocSpacePortalMissing": ("critical", "15m"),
    "DocSpaceExporterAbsent": ("critical", "15m"),
}

ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}

Case = dict[str, Any]
SECTIONS: list[list[Case]] = [
    section.get("alert_rule_test", [])
    for story in STORIES
    for section in yaml.safe_load(story.read_text())["tests"]
]


def run(*command: str | Path) -> str:
    """Return what a command prints; raises AssertionError with it if the command fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def timelines(alert: str) -> Iterator[list[Case]]:
    """Yield what each section of a story expects of an alert, in chronological order."""
    for section in SECTIONS:
        cases = [case for case in section if case["alertname"] == alert]
        yield sorted(cases, key=lambda case: int(case["eval_time"].removesuffix("m")))


def test_promtool_accepts_the_rules() -> None:
    run("promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_promtool_accepts_the_example_configuration() -> None:
    assert "1 rule files found" in run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


def test_amtool_accepts_the_example_configuration() -> None:
    run("amtool", "check-config", str(PROMETHEUS / "alertmanager.yml"))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.stem)
def test_story(story: Path) -> None:
    run("promtool", "test", "rules", story)


def test_the_alerts_are_those_documented() -> None:
    found = {name: (rule["labels"]["severity"], rule["for"]) for name, rule in ALERTS.items()}
    assert found == SEVERITY_AND_WAIT


@pytest.mark.parametrize("alert", ALERTS)
def test_a_story_shows_when_it_fires(alert: str) -> None:
    assert any(case["exp_alerts"] for cases in timelines(alert) for case in cases)


@pytest.mark.parametrize("alert", ALERTS)
def test_a_story_shows_when_it_must_not_fire(alert: str) -> None:
    assert any(cases and not cases[0]["exp_alerts"] for cases in timelines(alert))


@pytest.mark.parametrize("alert", ALERTS)
def test_a_story_shows_when_it_resolves(alert: str) -> None:
    assert any(
        earlier["exp_alerts"] and not later["exp_alerts"]
        for cases in timelines(alert)
        for earlier, later in itertools.pairwise(cases)
    )


@pytest.mark.parametrize("alert", ALERTS)
def test_its_annotations_say_what_and_what_to_do(alert: str) -> None:
    annotations = ALERTS[alert]["annotations"]
    assert annotations["summary"]
    assert annotations["description"]
    assert ("rotate_url" in annotations) == ("Key" in alert and alert != "DocSpaceKeysMalformed")


@pytest.mark.parametrize("alert", ALERTS)
def test_its_annotations_quote_what_they_put_into_queries(alert: str) -> None:
    templates = " ".join(ALERTS[alert]["annotations"].values())
    assert set(re.findall(r"%[\[\]\d]*.", templates)) <= {"%q", "%[1]q"}


@pytest.mark.parametrize("alert", ALERTS)
def test_its_runbook_is_a_heading_of_the_documentation(alert: str) -> None:
    page, _, anchor = ALERTS[alert]["annotations"]["runbook_url"].partition("#")
    assert page.endswith("/docs/alerts.md")
    assert anchor == alert.lower()
    assert f"## {alert}\n" in RUNBOOKS.read_text()


def test_the_documentation_describes_no_other_alert() -> None:
    assert set(re.findall(r"^##+ (DocSpace\w+)$", RUNBOOKS.read_text(), re.MULTILINE)) == set(ALERTS)


def test_an_imminent_expiry_inhibits_expiring_soon_of_the_same_key_and_nothing_else(tmp_path: Path) -> None:
    key = {"portal": "acme", "id": "k1"}
    imminent = key | {"alertname": "DocSpaceApiKeyExpiryImminent", "severity": "critical"}
    soon = key | {"alertname": "DocSpaceApiKeyExpiringSoon", "severity": "warning"}
    others = [
        soon | {"id": "k2"},
        soon | {"portal": "emca"},
        imminent | {"alertname": "DocSpaceExporterKeyExpiring"},
        imminent | {"alertname": "DocSpaceApiKeyDisabledInUse"},
        {"alertname": "DocSpacePortalDown", "portal": "acme", "severity": "critical"},
        {"alertname": "DocSpaceExporterAbsent", "severity": "critical"},
    ]
    config = yaml.safe_load((PROMETHEUS / "alertmanager.yml").read_text())
    with processes.alertmanager(tmp_path, config) as alertmanager:
        assert inhibited(alertmanager, [*others, soon, imminent]) == [soon]


def inhibited(alertmanager: processes.Program, alerts: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return those of these alerts that others inhibit, as soon as there are any.

    Alertmanager takes alerts in order: when the last one inhibits, the others have had their chance.
    """
    api = alertmanager.url + "/api/v2/alerts"
    end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    posted = [{"labels": labels, "endsAt": end} for labels in alerts]
    requests.post(api, json=posted, timeout=5).raise_for_status()

    def known() -> list[dict[str, str]]:
        found = requests.get(api, params={"active": "false"}, timeout=5).json()
        return [alert["labels"] for alert in found if alert["status"]["inhibitedBy"]]

    return processes.wait_for(known, "an inhibited alert")
