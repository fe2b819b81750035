"""The queries of the dashboard, on 6 hours of scrapes.

`python -m bench.dashboard_query KEYS FILE…` compares files.
"""

import contextlib
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import requests

from bench import history, programs
from bench.plan import FULL, Plan
from bench.report import Result, Table, at_most, milliseconds

_DASHBOARD = programs.ROOT / "grafana" / "dashboards" / "docspace-api-keys.json"
_SCRAPE_INTERVAL = 60
_WIDTH = 1254
"""Pixels of a graph as wide as a window of 1600 with Grafana's menu."""
_MARK_POINTS = 100
"""For annotations."""
_SHORTEST_STEP = 15
_STEPS = {"1m": 60, "5m": 300, "15m": 900}

Times = Mapping[str, list[float]]


class Query(msgspec.Struct, frozen=True):
    """One query of the dashboard, as Grafana sends it."""

    panel: str
    expr: str
    step: int
    """Seconds between points; 0 for the end of the time range only."""

    def run(self, url: str, end: float) -> int:
        """Return how many series the response has."""
        parameters: dict[str, Any] = {"query": self._interpolated(end)}
        endpoint = "query"
        if self.step:
            endpoint = "query_range"
            parameters |= {"start": end - history.SECONDS, "end": end, "step": self.step}
        response = requests.post(f"{url}/api/v1/{endpoint}", data=parameters, timeout=120)
        response.raise_for_status()
        return len(response.json()["data"]["result"])

    def _interpolated(self, end: float) -> str:
        values = {
            "${portal:regex}": ".*",
            "${owner:regex}": ".*",
            "${show:raw}": "and on () docspace_exporter_build_info",
            "$__rate_interval": f"{self.step + 60}s",
            "$__interval": f"{self.step}s",
            "${__from}": f"{(end - history.SECONDS) * 1000:.0f}",
            "${__to}": f"{end * 1000:.0f}",
        }
        expr = self.expr
        for variable, value in values.items():
            expr = expr.replace(variable, value)
        return expr


def run(plan: Plan) -> Result:
    """Run the queries of each panel in turn, again and again; the first round does not count."""
    keys = plan.key_counts[1]
    with _database(keys) as url:
        took = _measure(_queries(_DASHBOARD), url, plan.runs)
    total = sum(statistics.median(times) for times in took.values())
    rows = [(panel, milliseconds(times)) for panel, times in took.items()]
    work = f"dashboard, {keys:,} keys scraped every {_SCRAPE_INTERVAL} s for 6 hours"
    return Result(
        [at_most(work, "time, its queries one after another", total, 2, "s")],
        [Table(f"Queries of the {work}", ("panel", "ms"), rows)],
    )


def main() -> None:
    """Print the time of all queries of each file, and of the slowest panels."""
    with _database(int(sys.argv[1])) as url:
        for file in [Path(argument) for argument in sys.argv[2:]]:
            took = {
                panel: statistics.median(times)
                for panel, times in _measure(_queries(file), url, FULL.runs).items()
            }
            slowest = sorted(took, key=lambda panel: took[panel], reverse=True)[:6]
            shown = ", ".join(f"{panel} {took[panel]:.3f}" for panel in slowest)
            print(f"{file}: {sum(took.values()):.3f} s; {shown}")


def _measure(queries: list[Query], url: str, runs: int) -> Times:
    """Return the seconds that the queries of each panel took together."""
    took: dict[str, list[float]] = {query.panel: [] for query in queries}
    for number in range(1 + runs):
        end = time.time()
        once = dict.fromkeys(took, 0.0)
        for query in queries:
            begun = time.perf_counter()
            query.run(url, end)
            once[query.panel] += time.perf_counter() - begun
        if number:
            for panel, seconds in once.items():
                took[panel].append(seconds)
    return took


def _queries(file: Path) -> list[Query]:
    dashboard = json.loads(file.read_text())
    found = [
        Query(panel["title"], target["expr"], 0 if target.get("instant") else _step(panel))
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    ]
    annotations = (annotation for annotation in dashboard["annotations"]["list"] if "expr" in annotation)
    return [*found, *(Query("annotations", mark["expr"], _mark_step(mark)) for mark in annotations)]


def _mark_step(annotation: Mapping[str, Any]) -> int:
    return max(history.SECONDS // _MARK_POINTS, _STEPS[annotation["step"]])


def _step(panel: Mapping[str, Any]) -> int:
    points = panel.get("maxDataPoints", _WIDTH * panel["gridPos"]["w"] / 24)
    return max(int(history.SECONDS / points), _STEPS.get(panel.get("interval", ""), _SHORTEST_STEP))


@contextlib.contextmanager
def _database(keys: int) -> Iterator[str]:
    """Run a Prometheus that has scraped an exporter for 6 hours, and goes on; yields its address."""
    with history.scraped(keys, _SCRAPE_INTERVAL, programs.ROOT / "docs" / "metrics.md") as (data, target):
        job = {"job_name": "docspace", "scrape_interval": "2s", "static_configs": [{"targets": [target]}]}
        with programs.prometheus(data.parent, {"scrape_configs": [job]}) as url:
            seen = Query("", "docspace_api_key_info", 0)
            programs.wait_for(lambda: seen.run(url, time.time()) == keys, f"{keys} keys scraped")
            yield url


if __name__ == "__main__":
    main()
