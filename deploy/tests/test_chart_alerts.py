"""The PrometheusRule of the Helm chart."""

from pathlib import Path
from typing import Any

import helm
import pytest
import yaml
from paths import ROOT, run

from prometheus.customize import customize, errors

ENABLED = "--set=prometheusRule.enabled=true"
RULES = yaml.safe_load((ROOT / "prometheus/rules.yml").read_text())


def groups(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = helm.only("PrometheusRule", ENABLED, *arguments)["spec"]["groups"]
    return found


def alerts(*arguments: str) -> list[str]:
    return [rule["alert"] for group in groups(*arguments) for rule in group["rules"] if "alert" in rule]


def test_rules_are_those_of_the_repository() -> None:
    assert groups() == RULES["groups"]


def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": groups(*helm.VALUES["full"])}))
    run("promtool", "check", "rules", file)


def test_each_alert_can_be_disabled() -> None:
    every = alerts()
    assert every
    for name in every:
        assert alerts(f"--set=prometheusRule.disabled.{name}=true") == [
            other for other in every if other != name
        ]


def test_an_alert_that_is_disabled_with_false_stays() -> None:
    assert alerts("--set=prometheusRule.disabled.DocSpacePortalDown=false") == alerts()


def test_a_group_without_rules_is_left_out() -> None:
    every = ",".join(f"prometheusRule.disabled.{name}=true" for name in alerts())
    assert all(group["rules"] for group in groups(f"--set={every}"))


@pytest.mark.parametrize(
    "overrides",
    [
        {"runbookBaseURL": "https://wiki.example/alerts"},
        {"dashboardURL": "https://grafana.example/d/docspace"},
        {"dashboardURL": "https://grafana.example/d/docspace?theme=light"},
        {"extraLabels": {"team": "platform", "page": "false"}},
        {"alerts": {"DocSpacePortalDown": {"severity": "warning"}}},
        {"alerts": {"DocSpacePortalDown": {"for": "1h30m"}, "DocSpaceKeysMalformed": {"for": "0s"}}},
        {
            "extraLabels": {"team": "platform"},
            "alerts": {"DocSpacePortalDown": {"labels": {"team": "network"}}},
        },
        {"disabled": {"DocSpacePortalDown": True}, "runbookBaseURL": "https://wiki.example/alerts"},
    ],
    ids=str,
)
def test_overrides_do_what_they_do_outside_of_kubernetes(overrides: dict[str, Any], tmp_path: Path) -> None:
    assert not list(errors(RULES, overrides))
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"prometheusRule": overrides}))
    assert groups(f"--values={values}") == customize(RULES, overrides)["groups"]


def test_additional_rules_are_added() -> None:
    own = yaml.safe_load((helm.FIXTURES / "full.yaml").read_text())["prometheusRule"]["additionalGroups"]
    assert groups(*helm.VALUES["full"])[-1:] == own
