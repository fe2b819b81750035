"""From starting `--demo` to the first complete response, compared with importing its libraries."""

import subprocess
import sys
import time

from bench import programs
from bench.plan import Plan
from bench.report import Result, Table, at_most, milliseconds, ratio

_IMPORTS = "import prometheus_client, requests, yaml"


def run(plan: Plan) -> Result:
    """Start one and the other in turn; the first of each does not count."""
    exporter, imports = [], []
    for _ in range(1 + plan.runs):
        exporter.append(_start())
        imports.append(_import())
    del exporter[0], imports[0]
    peer = f'`python -c "{_IMPORTS}"`'
    found = ratio(exporter, imports)
    return Result(
        [at_most("start to first complete `/metrics`, demo", f"time, to {peer}", found, 4, "times")],
        [
            Table(
                "Start, ms",
                ("exporter, demo", peer, "ratio"),
                [(milliseconds(exporter), milliseconds(imports), f"{found:.2f}")],
            )
        ],
    )


def _start() -> float:
    begun = time.perf_counter()
    with programs.demo() as exporter:
        exporter.wait_until_polled()
        return time.perf_counter() - begun


def _import() -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True)
    return time.perf_counter() - begun
