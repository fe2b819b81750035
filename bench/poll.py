"""A whole poll of the largest portal: request, decoding, and building the text.

It is compared with `requests` and prometheus-client on the same response and the same collector.
"""

import time

from bench import programs
from bench.plan import Plan
from bench.report import Result, Table, at_most, milliseconds, ratio
from bench.schedule import Schedule


def run(plan: Plan) -> Result:
    """Measure the CPU time of the running exporter from before one poll until before the next."""
    keys = plan.key_counts[-1]
    polls, plain = [], []
    with (
        programs.portals(keys) as portals,
        programs.exporter(portals.urls, interval=plan.cycle) as exporter,
    ):
        exporter.wait_until_polled()
        schedule = Schedule(portals, plan.cycle)
        with programs.library_poll(portals.urls[0]) as poll_and_render:
            poll_and_render()
            for _ in range(plan.runs):
                schedule.sleep_until_after_next(-0.1)
                begun = exporter.cpu_seconds()
                time.sleep(plan.cycle / 2)
                polls.append(exporter.cpu_seconds() - begun)
                plain.append(poll_and_render())
    finding = at_most(
        f"poll, {keys:,} keys, all of it",
        "CPU, to `requests.get(…).json()` plus `generate_latest`",
        ratio(polls, plain),
        1.1,
        "times",
    )
    table = Table(
        "Poll, CPU, ms",
        ("keys", "exporter", "`requests.get(…).json()` plus `generate_latest`", "ratio"),
        [(f"{keys:,}", milliseconds(polls), milliseconds(plain), f"{ratio(polls, plain):.2f}")],
    )
    return Result([finding], [table])
