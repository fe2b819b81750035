"""The rules, on 6 hours of scrapes in Prometheus. `python -m bench.rules FILE…` compares files."""

import contextlib
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import requests

from bench import history, programs
from bench.history import Sample
from bench.plan import FULL, Plan
from bench.report import Result, Table, at_most, ratio

_RULES = programs.ROOT / "prometheus" / "rules.yml"
_SCRAPE_INTERVAL = 15
_RECORD_INTERVAL = 60
_READ_ONCE = 'count(last_over_time({__name__=~"docspace_.+"}[6h]))'


def run(plan: Plan) -> Result:
    """Evaluate the rules again and again; the first evaluation does not count."""
    keys = plan.key_counts[1]
    with history.scraped(keys, _SCRAPE_INTERVAL, _RULES) as (data, target):
        evaluations, reads = _measure(_RULES, data, target, plan)
    work = f"rules, {keys:,} keys scraped every {_SCRAPE_INTERVAL} s for 6 hours"
    took, read = statistics.median(evaluations), statistics.median(reads)
    row = (f"{took:.2f}", f"{read:.2f}", f"{ratio(evaluations, reads):.2f}")
    return Result(
        [at_most(work, "time of an evaluation", took, 1.8, "s")],
        [Table(f"An evaluation of the {work}, s", ("rules", f"`{_READ_ONCE}`", "ratio"), [row])],
    )


def main() -> None:
    """Print the time of an evaluation of each file, on the same history, and of reading its samples once."""
    with history.scraped(FULL.key_counts[1], _SCRAPE_INTERVAL, _RULES) as (data, target):
        for rules in [Path(argument) for argument in sys.argv[1:]]:
            evaluations, reads = _measure(rules, data, target, FULL)
            print(
                f"{rules}: {statistics.median(evaluations):.2f} s, reading {statistics.median(reads):.2f} s"
            )


def _measure(rules: Path, data: Path, target: str, plan: Plan) -> tuple[list[float], list[float]]:
    """Return the seconds that evaluations took, and those of a query that reads the scraped samples once."""
    with tempfile.TemporaryDirectory() as directory:
        own = Path(directory, "data")
        shutil.copytree(data, own)
        with _prometheus(Path(directory), rules, target, plan.scrape_interval, 1) as url:
            _wait_for_scrape(url)
            _evaluations(url, 3)
            recorded = _query(url, '{__name__=~"docspace:.+"}')
        history.write(map(_recorded, recorded), own)
        with _prometheus(Path(directory), rules, target, plan.scrape_interval, plan.rules_interval) as url:
            _wait_for_scrape(url)
            evaluations = _evaluations(url, plan.runs + 1)[1:]
            reads = [_seconds(url, _READ_ONCE) for _ in range(plan.runs + 1)][1:]
    return evaluations, reads


def _recorded(sample: Sample) -> str:
    """Return 6 hours of a recorded series, made from its newest sample. What is the time moves with it."""
    end = int(time.time())
    labels, value = dict(sample["metric"]), sample["value"][1]
    name = labels.pop("__name__")
    pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    moves = abs(float(value) - end) < history.SECONDS
    times = range(end - history.SECONDS, end, _RECORD_INTERVAL)
    return "".join(f"{name}{{{pairs}}} {at if moves else value} {at}\n" for at in times)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _prometheus(
    directory: Path, rules: Path, target: str, scrape_interval: int, interval: int
) -> contextlib.AbstractContextManager[str]:
    """Run Prometheus, which scrapes and evaluates the rules every so many seconds; yields its address."""
    often = re.sub(r"^( *)interval: \w+", rf"\1interval: {interval}s", rules.read_text(), flags=re.MULTILINE)
    (directory / "rules.yml").write_text(often)
    job = {"job_name": "docspace", "static_configs": [{"targets": [target]}]}
    config = {
        "global": {"scrape_interval": f"{scrape_interval}s", "scrape_timeout": f"{scrape_interval}s"},
        "scrape_configs": [job],
        "rule_files": ["rules.yml"],
    }
    return programs.prometheus(directory, config)


def _wait_for_scrape(url: str) -> None:
    """Return once the exporter was scraped: the history may have ended minutes ago."""
    programs.wait_for(lambda: bool(_query(url, "up == 1")), "a scrape")


def _evaluations(url: str, count: int) -> list[float]:
    """Return the seconds that the next evaluations take."""
    took: dict[str, float] = {}

    def enough() -> bool:
        response = requests.get(f"{url}/api/v1/rules", timeout=30)
        (group,) = response.json()["data"]["groups"]
        if group["evaluationTime"]:
            took[group["lastEvaluation"]] = group["evaluationTime"]
        time.sleep(0.2)
        return len(took) >= count

    programs.wait_for(enough, f"{count} evaluations", timeout=600)
    return list(took.values())


def _query(url: str, query: str) -> Sequence[Sample]:
    response = requests.get(f"{url}/api/v1/query", params={"query": query}, timeout=60)
    response.raise_for_status()
    samples: Sequence[Sample] = response.json()["data"]["result"]
    return samples


def _seconds(url: str, query: str) -> float:
    begun = time.perf_counter()
    _query(url, query)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
