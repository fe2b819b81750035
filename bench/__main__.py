"""`python -m bench` prints the report and writes it to bench/results.md; nothing fails on a time."""

import argparse
import sys
from pathlib import Path

from bench import busy, dashboard_query, memory, poll, portals, rules, scrape, spread, start
from bench.plan import FULL, SMALL
from bench.report import render

BENCHMARKS = {
    "scrape": scrape.run,
    "busy": busy.run,
    "poll": poll.run,
    "memory": memory.run,
    "start": start.run,
    "dashboard": dashboard_query.run,
    "rules": rules.run,
    "spread": spread.run,
    "portals": portals.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("only", nargs="*", help=f"of {', '.join(BENCHMARKS)}; then nothing is written")
    parser.add_argument("--small", action="store_true", help="small input, to see that it runs")
    given = parser.parse_args()
    plan = SMALL if given.small else FULL
    report = render([BENCHMARKS[name](plan) for name in given.only or BENCHMARKS], plan.runs)
    sys.stdout.write(report)
    if not given.only and not given.small:
        servers = Path(__file__).with_name("servers.md").read_text()
        Path(__file__).with_name("results.md").write_text(f"{report}\n{servers}")


if __name__ == "__main__":
    main()
