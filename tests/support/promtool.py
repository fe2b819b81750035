"""Tests of rules that are generated, run by promtool."""

import itertools
import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT

RULES = ROOT / "prometheus" / "rules.yml"

Values = Sequence[float | None]
"""One per interval; None for an absent sample."""


@dataclass(frozen=True)
class Section:
    """Series from time 0 on, and what each query must return at a moment: labels with their values."""

    series: Mapping[str, Values]
    seconds: float
    expected: Mapping[str, Sequence[tuple[Mapping[str, str], float]]]


def failures(directory: Path, interval: float, sections: Iterable[Section]) -> str:
    """Return what `promtool test rules` prints about failures; empty if there are none."""
    tests = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{interval:.0f}s",
        "tests": [_test(interval, section) for section in sections],
    }
    file = directory / "tests.yml"
    file.write_text(json.dumps(tests))  # JSON is YAML, and is written faster
    done = subprocess.run(("promtool", "test", "rules", file), capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _test(interval: float, section: Section) -> dict[str, Any]:
    return {
        "interval": f"{interval:.0f}s",
        "input_series": [
            {"series": name, "values": _compressed(values)} for name, values in section.series.items()
        ],
        "promql_expr_test": [
            {
                "expr": query,
                "eval_time": f"{section.seconds:.0f}s",
                "exp_samples": [{"labels": braces(labels), "value": value} for labels, value in samples],
            }
            for query, samples in section.expected.items()
        ],
    }


def braces(labels: Mapping[str, str]) -> str:
    """Return labels as PromQL writes them."""
    return "{" + ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"


def _compressed(values: Values) -> str:
    runs = [(value, len(list(run))) for value, run in itertools.groupby(values)]
    return " ".join(f"_x{times}" if value is None else f"{value:.15g}x{times - 1}" for value, times in runs)
