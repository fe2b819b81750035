"""The PrometheusRule of the Helm chart."""

from pathlib import Path
from typing import Any

import helm
import yaml
from paths import ROOT, run

ENABLED = "--set=prometheusRule.enabled=true"
RULES = yaml.safe_load((ROOT / "prometheus/rules.yml").read_text())


def groups(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = helm.only("PrometheusRule", ENABLED, *arguments)["spec"]["groups"]
    return found


def alerts(*arguments: str) -> list[str]:
    return [rule["alert"] for group in groups(*arguments) for rule in group["rules"] if "alert" in rule]


def test_rules_are_those_of_the_repository() -> None:
    assert groups() == RULES["groups"]


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": groups(*helm.VALUES["full"])}))
    run("promtool", "check", "rules", file)


def test_each_alert_can_be_switched_off() -> None:
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


def test_rules_of_ones_own_are_added() -> None:
    own = yaml.safe_load((helm.FIXTURES / "full.yaml").read_text())["prometheusRule"]["additionalGroups"]
    assert groups(*helm.VALUES["full"])[-1:] == own
