"""The queries behind the dashboard's table of keys, on a Prometheus that has scraped the exporter."""

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import requests

from bench import programs
from bench.plan import Plan
from bench.report import Result, Table, at_most, milliseconds

_DASHBOARD = programs.ROOT / "grafana" / "dashboards" / "docspace-api-keys.json"
_TABLE = "API keys, soonest to expire first"


def run(plan: Plan) -> Result:
    """Run each query in turn, again and again; the first round does not count."""
    keys = plan.key_counts[1]
    queries = _queries()
    took: dict[str, list[float]] = {name: [] for name in queries}
    with (
        programs.portals(keys) as portals,
        programs.exporter(portals.urls) as exporter,
        _prometheus(exporter.url) as url,
    ):
        programs.wait_for(lambda: _rows(url, queries["info"]) == keys, f"{keys} keys scraped")
        for number in range(1 + plan.runs):
            for name, query in queries.items():
                begun = time.perf_counter()
                _rows(url, query)
                if number:
                    took[name].append(time.perf_counter() - begun)
    total = sum(statistics.median(times) for times in took.values())
    rows = [(name, milliseconds(times)) for name, times in took.items()]
    return Result(
        [at_most(f"dashboard's table, {keys:,} keys", "time, its queries one after another", total, 1, "s")],
        [Table(f"Queries of the dashboard's table, {keys:,} keys", ("query", "ms"), rows)],
    )


def _queries() -> Mapping[str, str]:
    panels = json.loads(_DASHBOARD.read_text())["panels"]
    (table,) = (panel for panel in panels if panel["title"] == _TABLE)
    everything = {"${portal:regex}": ".*", "${owner:regex}": ".*"}
    queries = {}
    for target in table["targets"]:
        query = target["expr"]
        for variable, value in everything.items():
            query = query.replace(variable, value)
        queries[target["refId"]] = query
    return queries


def _rows(url: str, query: str) -> int:
    response = requests.get(f"{url}/api/v1/query", params={"query": query}, timeout=30)
    response.raise_for_status()
    return len(response.json()["data"]["result"])


@contextlib.contextmanager
def _prometheus(metrics_url: str) -> Iterator[str]:
    """Run a Prometheus that scrapes one exporter; yields its address."""
    target = metrics_url.removeprefix("http://").removesuffix("/metrics")
    job = {"job_name": "docspace", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}
    with (
        tempfile.TemporaryDirectory() as directory,
        programs.prometheus(Path(directory), {"scrape_configs": [job]}) as url,
    ):
        yield url
