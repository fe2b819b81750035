"""Memory at rest: between polls, after the exporter has polled and been scraped for a while."""

import statistics

from bench import programs
from bench.client import Scraper
from bench.plan import Plan
from bench.report import Result, Table, at_most, megabytes
from bench.schedule import Schedule

GOALS = (60, 65, 160)
"""MB: without keys, with few and with many."""


def run(plan: Plan) -> Result:
    """Measure without keys, with the fewest and with the most."""
    counts = (0, plan.key_counts[0], plan.key_counts[-1])
    measured = {keys: _measure(keys, plan) for keys in counts}
    findings = [
        at_most(
            f"memory at rest, {keys:,} keys" if keys else "memory at rest, no keys yet",
            "resident",
            resident / 1e6,
            goal,
            "MB",
        )
        for (keys, (resident, _)), goal in zip(measured.items(), GOALS, strict=True)
    ]
    table = Table(
        "Memory, MB",
        ("keys", "resident at rest", "resident at most"),
        [(f"{keys:,}", megabytes(rest), megabytes(peak)) for keys, (rest, peak) in measured.items()],
    )
    return Result(findings, [table])


def _measure(keys: int, plan: Plan) -> tuple[float, float]:
    """Return the bytes held at rest, the median after several polls each scraped, and the most held."""
    resident = []
    with (
        programs.portals(keys) as portals,
        programs.exporter(portals.urls, interval=plan.cycle) as exporter,
    ):
        exporter.wait_until_polled()
        schedule = Schedule(portals, plan.cycle)
        for _ in range(plan.runs):
            schedule.sleep_until_after_next(plan.cycle / 2)
            with Scraper(exporter.url) as scraper:
                scraper.scrape()
            schedule.sleep_until_after_next(plan.cycle - 0.2)
            resident.append(exporter.resident())
        return statistics.median(resident), exporter.peak_resident()
