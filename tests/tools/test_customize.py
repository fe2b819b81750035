"""`prometheus/customize.py` changes what the overrides say and nothing else, and rejects what is invalid."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from prometheus.customize import customize, errors
from tests.support.processes import ROOT

RULES = yaml.safe_load((ROOT / "prometheus" / "rules.yml").read_text())


def run(directory: Path, overrides: str) -> subprocess.CompletedProcess[str]:
    """Run the program on overrides."""
    file = directory / "overrides.yml"
    file.write_text(overrides)
    command = (sys.executable, ROOT / "prometheus" / "customize.py", file)
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def alerts(rules: dict[str, Any]) -> dict[str, Any]:
    return {rule["alert"]: rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule}


def test_without_overrides_the_rules_stay_as_they_are(tmp_path: Path) -> None:
    done = run(tmp_path, "")
    assert (done.returncode, done.stderr) == (0, "")
    assert yaml.safe_load(done.stdout) == RULES


def test_promtool_accepts_customized_rules(tmp_path: Path) -> None:
    overrides = """
        runbookBaseURL: https://wiki.example/alerts
        dashboardURL: https://grafana.example/d/docspace?theme=light
        extraLabels: {team: platform}
        alerts: {DocSpacePortalDown: {severity: warning, for: 1h30m, labels: {team: network}}}
        disabled: {DocSpaceApiKeysNeverExpire: true}
    """
    done = run(tmp_path, overrides)
    assert (done.returncode, done.stderr) == (0, "")
    rules = tmp_path / "rules.yml"
    rules.write_text(done.stdout)
    checked = subprocess.run(
        ("promtool", "check", "rules", "--lint=all", "--lint-fatal", rules), capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_an_alert_has_its_own_severity_wait_and_labels() -> None:
    override = {"severity": "warning", "for": "30m", "labels": {"team": "network", "page": "true"}}
    overrides = {"extraLabels": {"team": "platform"}, "alerts": {"DocSpacePortalDown": override}}

    customized = alerts(customize(RULES, overrides))

    down, missing = customized["DocSpacePortalDown"], customized["DocSpacePortalMissing"]
    assert down["labels"] == {"severity": "warning", "team": "network", "page": "true"}
    assert down["for"] == "30m"
    assert missing["labels"] == {"severity": "critical", "team": "platform"}
    assert missing["for"] == alerts(RULES)["DocSpacePortalMissing"]["for"]


def test_runbooks_keep_their_anchors() -> None:
    customized = alerts(customize(RULES, {"runbookBaseURL": "https://wiki.example/alerts"}))
    assert {name: rule["annotations"]["runbook_url"] for name, rule in customized.items()} == {
        name: f"https://wiki.example/alerts#{name.lower()}" for name in customized
    }


@pytest.mark.parametrize(
    ("url", "begins"),
    [
        (
            "https://grafana.example/d/docspace",
            "https://grafana.example/d/docspace{{ with $labels.portal }}?",
        ),
        (
            "https://grafana.example/d/docspace?a=b",
            "https://grafana.example/d/docspace?a=b{{ with $labels.portal }}&",
        ),
    ],
)
def test_the_dashboard_is_opened_with_the_portal_of_the_alert(url: str, begins: str) -> None:
    for rule in alerts(customize(RULES, {"dashboardURL": url})).values():
        assert rule["annotations"]["dashboard_url"].startswith(begins)


def test_a_disabled_alert_is_left_out_and_recorded_series_stay() -> None:
    name = "DocSpaceApiKeysNeverExpire"
    customized = customize(RULES, {"disabled": {name: True, "DocSpacePortalDown": False}})
    assert alerts(customized).keys() == alerts(RULES).keys() - {name}
    ((before,), (after,)) = (
        [len(group["rules"]) for group in rules["groups"]] for rules in (RULES, customized)
    )
    assert after == before - 1


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        ([], "expected a mapping"),
        ({"runbookURL": "x"}, "runbookURL: unknown field; did you mean runbookBaseURL?"),
        ({"dashboardURL": 1}, "dashboardURL: expected a URL"),
        ({"extraLabels": {"a-b": "x"}}, "extraLabels.a-b: invalid name of a label"),
        ({"extraLabels": {"page": True}}, 'extraLabels.page: expected a string: write "True"'),
        ({"extraLabels": {"portal": "x"}}, "extraLabels.portal: set by the rules"),
        ({"disabled": {"DocSpacePortalDwn": True}}, "unknown alert; did you mean DocSpacePortalDown?"),
        ({"disabled": {"DocSpacePortalDown": "yes"}}, "disabled.DocSpacePortalDown: expected true or false"),
        ({"alerts": {"Down": {}}}, "alerts.Down: unknown alert: expected one of DocSpaceApiKey"),
        ({"alerts": {"DocSpacePortalDown": 1}}, "alerts.DocSpacePortalDown: expected a mapping"),
        ({"alerts": {"DocSpacePortalDown": {"for": "5"}}}, "for: expected a duration such as 5m"),
        ({"alerts": {"DocSpacePortalDown": {"after": "5m"}}}, "DocSpacePortalDown.after: unknown field"),
        ({"alerts": {"DocSpacePortalDown": {"labels": {"id": "x"}}}}, "labels.id: set by the rules"),
    ],
)
def test_an_invalid_override_is_named_by_its_path(overrides: object, error: str) -> None:
    (found,) = errors(RULES, overrides)
    assert error in found


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("disabled: {DocSpacePortalDwn: true}", "overrides.yml: disabled.DocSpacePortalDwn: unknown alert"),
        ("disabled: {", "overrides.yml"),
    ],
)
def test_the_program_exits_with_1_and_prints_no_rules(tmp_path: Path, content: str, error: str) -> None:
    done = run(tmp_path, content)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(str(tmp_path))
    assert error in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    command = (sys.executable, ROOT / "prometheus" / "customize.py", tmp_path / "missing.yml")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "missing.yml" in done.stderr
    assert "Traceback" not in done.stderr
