"""Hours of scrapes in the database of a Prometheus, made from one scrape of an exporter."""

import contextlib
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench import programs
from bench.client import Scraper

SECONDS = 6 * 3600

Sample = dict[str, Any]

_SERIES = re.compile(r"^(docspace_\w+)\{(.*)\} (\S+)$", re.MULTILINE)
_MOVING = ("docspace_api_key_last_seen_timestamp_seconds", "docspace_poll_last_success_timestamp_seconds")
"""Metrics whose value is the time of each scrape."""


@contextlib.contextmanager
def scraped(keys: int, interval: int, read: Path) -> Iterator[tuple[Path, str]]:
    """Yield a database with 6 hours of the series that a file reads, and the exporter, which goes on."""
    with (
        programs.portals(keys) as portals,
        programs.exporter(portals.urls) as exporter,
        tempfile.TemporaryDirectory() as directory,
    ):
        exporter.wait_until_polled()
        with Scraper(exporter.url) as scraper:
            text = scraper.text().decode()
        target = exporter.url.removeprefix("http://").removesuffix("/metrics")
        data = Path(directory, "data")
        names = set(re.findall(r"\bdocspace_\w+", read.read_text()))
        write(_lines(text, target, interval, names), data)
        yield data, target


def _lines(text: str, target: str, interval: int, names: set[str]) -> Iterator[str]:
    end = int(time.time())
    times = range(end - SECONDS, end, interval)
    for name, labels, value in _SERIES.findall(text):
        if name in names:
            series = f'{name}{{instance="{target}",job="docspace",{labels}}}'
            yield "".join(f"{series} {at if name in _MOVING else value} {at}\n" for at in times)


def write(parts: Iterable[str], data: Path) -> None:
    """Add samples in OpenMetrics to a database."""
    with tempfile.NamedTemporaryFile("w", suffix=".om") as file:
        file.writelines(parts)
        file.write("# EOF\n")
        file.flush()
        command = ("promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=8h")
        subprocess.run((*command, file.name, data), check=True, stdout=subprocess.DEVNULL)
