"""Each benchmark runs, on small input. The figures are meaningless."""

import pytest

from bench.__main__ import BENCHMARKS
from bench.plan import SMALL
from bench.report import render


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_reports_each_goal_and_its_figures(name: str) -> None:
    result = BENCHMARKS[name](SMALL)

    report = render([result], SMALL.runs)

    assert result.findings
    for finding in result.findings:
        assert f"| {finding.work} | {finding.measure} | {finding.found} | {finding.goal} |" in report
    for table in result.tables:
        assert f"## {table.title}\n" in report
        assert all(len(row) == len(table.header) for row in table.rows)
