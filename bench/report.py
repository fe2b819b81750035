"""The tables, as Markdown."""

import importlib.metadata
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from bench import programs

PACKAGES = ("prometheus-client", "h11", "starlette", "requests", "msgspec")


class Finding(msgspec.Struct, frozen=True):
    """A figure that has a goal."""

    work: str
    measure: str
    found: str
    goal: str
    reached: bool


class Table(msgspec.Struct, frozen=True):
    """Figures side by side."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


class Result(msgspec.Struct, frozen=True):
    """What one benchmark found."""

    findings: Sequence[Finding]
    tables: Sequence[Table]


def at_most(work: str, measure: str, found: float, limit: float, unit: str) -> Finding:
    """Return a finding of which less is better."""
    return Finding(work, measure, f"{found:.3g} {unit}", f"at most {limit:g} {unit}", found <= limit)


def at_least(work: str, measure: str, found: float, limit: float, unit: str) -> Finding:
    """Return a finding of which more is better."""
    return Finding(work, measure, f"{found:.3g} {unit}", f"at least {limit:g} {unit}", found >= limit)


def milliseconds(seconds: Sequence[float]) -> str:
    """Return the median of durations, in milliseconds."""
    return f"{statistics.median(seconds) * 1000:.1f}"


def ratio(these: Sequence[float], those: Sequence[float]) -> float:
    """Return the median of these to the median of those."""
    return statistics.median(these) / statistics.median(those)


def megabytes(count: float) -> str:
    """Return bytes in MB."""
    return f"{count / 1e6:.3g}"


def render(results: Sequence[Result], runs: int) -> str:
    """Return the whole report."""
    findings = Table(
        "Goals",
        ("work", "measure", "found", "to reach", ""),
        [_row(finding) for result in results for finding in result.findings],
    )
    tables = [findings, *(table for result in results for table in result.tables)]
    about = f"Medians of at least {runs} runs, in one run of `make bench`, {datetime.now(UTC):%Y-%m-%d}."
    return "\n".join(["# Benchmarks", "", about, "", _machine(), "", *map(_markdown, tables)])


def _row(finding: Finding) -> tuple[str, ...]:
    verdict = "reached" if finding.reached else "**missed**"
    return finding.work, finding.measure, finding.found, finding.goal, verdict


def _markdown(table: Table) -> str:
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    return "\n".join([f"## {table.title}", "", *(f"| {' | '.join(line)} |" for line in lines), ""])


def _machine() -> str:
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    nginx = subprocess.run([programs.nginx_path(), "-v"], capture_output=True, text=True, check=True).stderr
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}; "
        f"Python {platform.python_version()}, {packages}, nginx {nginx.strip().rpartition('/')[2]}."
    )
