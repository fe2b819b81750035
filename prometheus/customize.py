#!/usr/bin/env python3
"""Print the alerting rules with your own severities, waiting times, labels and links.

    python3 prometheus/customize.py overrides.yml > docspace-rules.yml

Needs PyYAML. docs/alerts.md describes the overrides, which are those of the Helm chart's `prometheusRule`.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).with_name("rules.yml")

_FIELDS = {
    "runbookBaseURL": (str, "a URL"),
    "dashboardURL": (str, "a URL"),
    "extraLabels": (dict, "a mapping of labels"),
    "alerts": (dict, "a mapping of alerts"),
    "disabled": (dict, "a mapping of alerts to true or false"),
}
_ALERT_FIELDS = {
    "severity": (str, "a string"),
    "for": (str, "a duration such as 5m"),
    "labels": (dict, "a mapping of labels"),
}
_RESERVED_LABELS = ("alertname", "severity", "portal", "id", "name", "postfix", "owner")
_DURATION = re.compile(r"0|(\d+(ms|[smhdwy]))+")


def customize(rules: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules with valid overrides applied."""
    disabled = overrides.get("disabled", {})
    groups = (
        group
        | {
            "rules": [
                _customized(rule, overrides) if "alert" in rule else rule
                for rule in group["rules"]
                if not disabled.get(rule.get("alert"), False)
            ]
        }
        for group in rules["groups"]
    )
    return {"groups": list(groups)}


def errors(rules: Mapping[str, Any], overrides: Any) -> Iterator[str]:
    """Yield what is invalid in the overrides, each with its path."""
    known = [rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    if not isinstance(overrides, dict):
        yield f"expected a mapping with some of the fields {', '.join(_FIELDS)}"
        return
    invalid = list(_invalid_fields("", overrides, _FIELDS))
    yield from invalid
    if invalid:
        return
    yield from _invalid_labels("extraLabels", overrides.get("extraLabels", {}))
    for field in ("alerts", "disabled"):
        for alert in overrides.get(field, {}):
            if alert not in known:
                yield f"{field}.{alert}: unknown alert{_suggestion(str(alert), known)}"
    for alert, off in overrides.get("disabled", {}).items():
        if not isinstance(off, bool):
            yield f"disabled.{alert}: expected true or false"
    for alert, override in overrides.get("alerts", {}).items():
        yield from _invalid_alert(f"alerts.{alert}", override)


def to_yaml(rules: Mapping[str, Any]) -> str:
    """Return the rules as the content of a file."""
    return yaml.safe_dump(rules, sort_keys=False, allow_unicode=True, width=10_000)


def main() -> int:
    """Print the customized rules; return 0, or 1 after printing errors to stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0], allow_abbrev=False)
    parser.add_argument("overrides", type=Path, help="YAML file with the overrides")
    parser.add_argument(
        "--rules", type=Path, default=RULES, help="rules to customize (default: those next to it)"
    )
    arguments = parser.parse_args()
    contents = []
    for file in (arguments.rules, arguments.overrides):
        try:
            contents.append(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
        except (OSError, ValueError, yaml.YAMLError) as error:
            print(f"{file}: {error}", file=sys.stderr)
            return 1
    rules, overrides = contents
    found = list(errors(rules, overrides))
    for error in found:
        print(f"{arguments.overrides}: {error}", file=sys.stderr)
    if found:
        return 1
    print(f"# Generated from {arguments.rules.name} and {arguments.overrides.name} by customize.py.")
    print(to_yaml(customize(rules, overrides)), end="")
    return 0


def _customized(rule: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    override = overrides.get("alerts", {}).get(rule["alert"], {})
    labels = {**rule["labels"], **overrides.get("extraLabels", {}), **override.get("labels", {})}
    annotations = dict(rule["annotations"])
    if base := overrides.get("runbookBaseURL"):
        annotations["runbook_url"] = base + "#" + annotations["runbook_url"].partition("#")[2]
    if dashboard := overrides.get("dashboardURL"):
        parameter = ("&" if "?" in dashboard else "?") + "var-portal={{ . | urlquery }}"
        annotations["dashboard_url"] = dashboard + "{{ with $labels.portal }}" + parameter + "{{ end }}"
    return {
        **rule,
        "for": override.get("for", rule["for"]),
        "labels": labels | {"severity": override.get("severity", labels["severity"])},
        "annotations": annotations,
    }


def _invalid_alert(place: str, override: Any) -> Iterator[str]:
    if not isinstance(override, dict):
        yield f"{place}: expected a mapping with some of the fields {', '.join(_ALERT_FIELDS)}"
        return
    invalid = list(_invalid_fields(f"{place}.", override, _ALERT_FIELDS))
    yield from invalid
    if invalid:
        return
    yield from _invalid_labels(f"{place}.labels", override.get("labels", {}))
    if not _DURATION.fullmatch(override.get("for", "0")):
        yield f"{place}.for: expected a duration such as 5m"


def _invalid_fields(
    place: str, mapping: Mapping[Any, Any], fields: Mapping[str, tuple[type, str]]
) -> Iterator[str]:
    for field, value in mapping.items():
        if field not in fields:
            yield f"{place}{field}: unknown field{_suggestion(str(field), list(fields))}"
        elif not isinstance(value, fields[field][0]):
            yield f"{place}{field}: expected {fields[field][1]}"


def _invalid_labels(place: str, labels: Mapping[Any, Any]) -> Iterator[str]:
    for name, value in labels.items():
        if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", str(name)):
            yield f"{place}.{name}: invalid name of a label"
        elif name in _RESERVED_LABELS:
            yield f"{place}.{name}: set by the rules; use another name"
        elif not isinstance(value, str):
            yield f'{place}.{name}: expected a string: write "{value}"'


def _suggestion(name: str, known: list[str]) -> str:
    closest = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {closest[0]}?" if closest else f": expected one of {', '.join(known)}"


if __name__ == "__main__":
    sys.exit(main())
