"""The same number of keys in ever more portals: what a portal costs besides its keys."""

import contextlib
import statistics
from collections.abc import Iterator, Sequence

import msgspec

from bench import programs
from bench.client import Pace, Scraper
from bench.plan import Plan
from bench.report import Result, Table, at_most, megabytes, milliseconds, ratio


class _Measured(msgspec.Struct, frozen=True):
    """Figures of one number of portals."""

    seconds: Sequence[float]
    text: int
    """Bytes of the response, uncompressed."""
    gzipped: int
    resident: int
    """Bytes."""
    threads: int


def run(plan: Plan) -> Result:
    """Scrape exporters of the same keys in turn, so that a busy moment of the machine falls on all."""
    with _exporter(0, 1) as exporter:
        empty = exporter.resident()
    with contextlib.ExitStack() as stack:
        exporters = {
            portals: stack.enter_context(_exporter(plan.spread_keys, portals)) for portals in plan.spread
        }
        measured = _measure(exporters, plan.runs)
    one, most = measured[plan.spread[0]], measured[plan.spread[-1]]
    work = f"{plan.spread_keys:,} keys in {plan.spread[-1]:,} portals"
    a_portal = (most.resident - empty) / plan.spread[-1]
    return Result(
        [
            at_most(
                f"scrape, {work}, gzip", "time, to one portal", ratio(most.seconds, one.seconds), 1.3, "times"
            ),
            at_most(f"memory, {work}", "memory a portal, with its keys", a_portal / 1e3, 60, "kB"),
        ],
        [_table(plan, measured)],
    )


@contextlib.contextmanager
def _exporter(keys: int, portals: int) -> Iterator[programs.Program]:
    with programs.portals(keys // portals, portals) as served, programs.exporter(served.urls) as exporter:
        exporter.wait_until_polled(portals)
        yield exporter


def _measure(exporters: dict[int, programs.Program], runs: int) -> dict[int, _Measured]:
    with contextlib.ExitStack() as stack:
        scrapers = {
            portals: stack.enter_context(Scraper(exporter.url)) for portals, exporter in exporters.items()
        }
        gzipped = {portals: len(scraper.scrape()) for portals, scraper in scrapers.items()}
        seconds: dict[int, list[float]] = {portals: [] for portals in scrapers}
        pace = Pace()
        for _ in range(runs):
            pace.wait()
            for portals, scraper in scrapers.items():
                seconds[portals].append(scraper.timed())
        return {
            portals: _Measured(
                seconds[portals],
                len(scrapers[portals].text()),
                gzipped[portals],
                exporter.resident(),
                exporter.threads(),
            )
            for portals, exporter in exporters.items()
        }


def _table(plan: Plan, measured: dict[int, _Measured]) -> Table:
    one = statistics.median(measured[plan.spread[0]].seconds)
    return Table(
        f"{plan.spread_keys:,} keys in several portals, scrape, gzip",
        ("portals", "text, MB", "gzipped, MB", "time, ms", "to one portal", "resident, MB", "threads"),
        [
            (
                f"{portals:,}",
                megabytes(figures.text),
                megabytes(figures.gzipped),
                milliseconds(figures.seconds),
                f"{statistics.median(figures.seconds) / one:.2f}",
                megabytes(figures.resident),
                str(figures.threads),
            )
            for portals, figures in measured.items()
        ],
    )
