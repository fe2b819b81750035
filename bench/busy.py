"""A scrape while a poll of the largest portal is processed, and between two polls."""

import random
import statistics
import time
from collections.abc import Sequence

from bench import programs
from bench.client import Scraper
from bench.plan import Plan
from bench.report import Result, Table, at_most
from bench.schedule import Schedule


def run(plan: Plan) -> Result:
    """Scrape once during each poll and once after it, at moments spread evenly over the time of a poll."""
    keys = plan.key_counts[-1]
    chance = random.Random(keys)
    during, between = [], []
    with (
        programs.portals(keys) as portals,
        programs.exporter(portals.urls, interval=plan.cycle) as exporter,
    ):
        exporter.wait_until_polled()
        schedule = Schedule(portals, plan.cycle)
        work = _seconds_of_work(exporter, schedule, plan.cycle)
        with Scraper(exporter.url) as scraper:
            scraper.scrape()
            for _ in range(plan.busy_cycles):
                moment = chance.uniform(0, work)
                schedule.sleep_until_after_next(moment)
                during.append(scraper.timed())
                schedule.sleep_until_after_next(plan.cycle / 2 + moment)
                between.append(scraper.timed())
    finding = at_most(
        f"scrape while a {keys:,}-key poll is processed",
        "99th percentile, to the same without a poll",
        _percentile(during, 99) / _percentile(between, 99),
        3,
        "times",
    )
    return Result([finding], [_table(keys, work, during, between)])


def _seconds_of_work(exporter: programs.Program, schedule: Schedule, cycle: float) -> float:
    """Return the CPU time of one poll, which is about how long it is processed."""
    schedule.sleep_until_after_next(-0.1)
    begun = exporter.cpu_seconds()
    time.sleep(cycle / 2)
    return exporter.cpu_seconds() - begun


def _percentile(seconds: Sequence[float], percent: int) -> float:
    if len(seconds) == 1:
        return seconds[0]
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


def _table(keys: int, work: float, during: Sequence[float], between: Sequence[float]) -> Table:
    return Table(
        "Scrape during a poll, gzip, ms",
        ("keys", "time of a poll", "scrapes", "when", "median", "90th percentile", "99th percentile"),
        [
            (
                f"{keys:,}",
                f"{work * 1000:.0f}",
                str(len(seconds)),
                when,
                *(f"{_percentile(seconds, percent) * 1000:.1f}" for percent in (50, 90, 99)),
            )
            for when, seconds in (("during a poll", during), ("between polls", between))
        ],
    )
