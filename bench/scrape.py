"""A scrape, compared with prometheus-client's own application and nginx with the same text in a file."""

import contextlib
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping

import msgspec

from bench import programs
from bench.client import Pace, Scraper
from bench.plan import Plan
from bench.report import Finding, Result, Table, at_least, at_most, megabytes, milliseconds, ratio

EXPORTER, LIBRARY, NGINX = "exporter", "prometheus-client", "nginx"


class _Measured(msgspec.Struct, frozen=True):
    """Scrapes of so many keys."""

    keys: int
    seconds: Mapping[str, list[float]]
    """By program."""
    shared: list[float]
    """Seconds of scrapes that take what another one of the same second rendered."""
    text: int
    """Bytes of the exporter's response, uncompressed."""
    gzipped: Mapping[str, int]


def run(plan: Plan) -> Result:
    """Measure every number of keys."""
    measured = [_measure(keys, plan.runs) for keys in plan.key_counts]
    few, many = measured[0], measured[-1]
    a_key = [statistics.median(sizes.seconds[EXPORTER]) / sizes.keys * 1e6 for sizes in measured]
    counts = " → ".join(f"{keys:,}" for keys in plan.key_counts)
    flat = Finding(
        f"scrape, {counts} keys, gzip",
        "time a key",
        " → ".join(f"{microseconds:.1f}" for microseconds in a_key) + " µs",
        "flat or falling",
        all(later <= 1.05 * earlier for earlier, later in itertools.pairwise(a_key)),
    )
    return Result(
        [
            _times_faster_than_library(many, 10),
            at_most(
                f"scrape, {many.keys:,} keys, gzip",
                "time, to nginx",
                ratio(many.seconds[EXPORTER], many.seconds[NGINX]),
                1.3,
                "times",
            ),
            _times_faster_than_library(few, 3),
            flat,
        ],
        [_table(measured)],
    )


def _times_faster_than_library(sizes: _Measured, goal: float) -> Finding:
    return at_least(
        f"scrape, {sizes.keys:,} keys, gzip",
        "prometheus-client's time, to the exporter's",
        ratio(sizes.seconds[LIBRARY], sizes.seconds[EXPORTER]),
        goal,
        "times",
    )


def _measure(keys: int, runs: int) -> _Measured:
    """Scrape each program in turn, so that a busy moment of the machine falls on all."""
    with _scrapers(keys) as scrapers:
        gzipped = {name: len(scraper.scrape()) for name, scraper in scrapers.items()}
        seconds: dict[str, list[float]] = {name: [] for name in scrapers}
        pace = Pace()
        for _ in range(runs):
            pace.wait()
            for name, scraper in scrapers.items():
                seconds[name].append(scraper.timed())
        exporter = scrapers[EXPORTER]
        shared = [_shared(exporter) for _ in range(runs)]
        return _Measured(keys, seconds, shared, len(exporter.text()), gzipped)


@contextlib.contextmanager
def _scrapers(keys: int) -> Iterator[dict[str, Scraper]]:
    with (
        programs.portals(keys) as portals,
        programs.exporter(portals.urls) as exporter,
        programs.library_app(portals.urls[0]) as library,
    ):
        exporter.wait_until_polled()
        with (
            Scraper(exporter.url) as ours,
            Scraper(library.url) as theirs,
            programs.nginx(ours.text()) as nginx,
            Scraper(nginx.url) as file,
        ):
            yield {EXPORTER: ours, LIBRARY: theirs, NGINX: file}


def _shared(scraper: Scraper) -> float:
    """Time the second of two scrapes at the beginning of a second."""
    time.sleep(1.02 - time.time() % 1)
    scraper.scrape()
    return scraper.timed()


def _table(measured: list[_Measured]) -> Table:
    return Table(
        "Scrape, gzip, ms",
        (
            "keys",
            "text, MB",
            *(f"{name}, gzipped MB" for name in (EXPORTER, LIBRARY, NGINX)),
            *(EXPORTER, LIBRARY, NGINX),
            "prometheus-client to exporter",
            "exporter to nginx",
            "exporter, second scrape of one second",
        ),
        [
            (
                f"{sizes.keys:,}",
                megabytes(sizes.text),
                *(megabytes(size) for size in sizes.gzipped.values()),
                *(milliseconds(seconds) for seconds in sizes.seconds.values()),
                f"{ratio(sizes.seconds[LIBRARY], sizes.seconds[EXPORTER]):.1f}",
                f"{ratio(sizes.seconds[EXPORTER], sizes.seconds[NGINX]):.2f}",
                milliseconds(sizes.shared),
            )
            for sizes in measured
        ],
    )
