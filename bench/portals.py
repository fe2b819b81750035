"""Hundreds of portals in one exporter, some of which accept requests and never respond; scraped meanwhile."""

import time
from collections.abc import Sequence

from bench import programs
from bench.client import Scraper
from bench.plan import Plan
from bench.report import Result, Table, at_most, megabytes

_LATE = 3.0
"""Seconds."""
_SCRAPE_INTERVAL = 15


def run(plan: Plan) -> Result:
    """Let the exporter run for a while, then see when each poll came and what it all took."""
    alone = _resident_with_one(plan)
    with (
        programs.portals(plan.keys_a_portal, plan.portals, plan.hanging_portals) as portals,
        programs.exporter(portals.urls, interval=plan.portals_interval) as exporter,
    ):
        begun = time.monotonic()
        _scrape_for(plan.portals_seconds, exporter)
        seconds = time.monotonic() - begun
        arrivals = portals.arrivals()[: plan.portals - plan.hanging_portals]
        cpu, resident = exporter.cpu_seconds() / seconds, exporter.resident()
    delays = [delay for times in arrivals for delay in _delays(times, plan.portals_interval)]
    expected = len(arrivals) * (plan.portals_seconds // plan.portals_interval)
    late = sum(delay > _LATE for delay in delays) + max(0, expected - len(delays))
    a_portal = (resident - alone) / (plan.portals - 1)
    work = (
        f"{plan.portals} portals of {plan.keys_a_portal} keys, {plan.portals_interval} s interval, "
        f"{plan.hanging_portals} hanging, {seconds:.0f} s"
    )
    return Result(
        [
            at_most(work, f"polls of the others later than {_LATE:g} s, or missing", late, 0, "polls"),
            at_most(work, "memory a portal", a_portal / 1e3, 200, "kB"),
            at_most(work, "CPU", cpu * 100, 20, "% of a core"),
        ],
        [
            Table(
                f"{work}, a scrape every {_SCRAPE_INTERVAL} s",
                (
                    "polls of the others",
                    "latest, s",
                    "resident, MB",
                    "resident with one portal, MB",
                    "CPU, %",
                ),
                [
                    (
                        f"{len(delays):,}",
                        f"{max(delays):.2f}",
                        megabytes(resident),
                        megabytes(alone),
                        f"{cpu * 100:.1f}",
                    )
                ],
            )
        ],
    )


def _scrape_for(seconds: float, exporter: programs.Program) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        with Scraper(exporter.url) as scraper:
            scraper.scrape()
        time.sleep(min(_SCRAPE_INTERVAL, left))


def _delays(arrivals: Sequence[float], interval: float) -> list[float]:
    """Return by how much each poll came later than the first one's schedule has it."""
    return [arrival - arrivals[0] - number * interval for number, arrival in enumerate(arrivals)]


def _resident_with_one(plan: Plan) -> int:
    with (
        programs.portals(plan.keys_a_portal) as portals,
        programs.exporter(portals.urls) as exporter,
    ):
        exporter.wait_until_polled()
        return exporter.resident()
