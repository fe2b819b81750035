"""Rules evaluated by vmalert on the past of VictoriaMetrics."""

import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.support.promtool import RULES, Values

_RULES_DELAY = "500ms"
"""A rule reads what others recorded, which takes a moment to be written and flushed."""


def import_series(url: str, begin: int, interval: int, series: Mapping[str, Values]) -> None:
    """Write samples, the first one at `begin`, in Unix seconds."""
    lines = (
        f"{name} {value!r} {(begin + step * interval) * 1000}\n".encode()
        for name, values in series.items()
        for step, value in enumerate(values)
        if value is not None
    )
    requests.post(f"{url}/api/v1/import/prometheus", data=lines, timeout=120).raise_for_status()
    requests.get(f"{url}/internal/force_flush", timeout=60).raise_for_status()


def replay(directory: Path, url: str, begin: int, end: int, interval: int) -> None:
    """Evaluate the rules from `begin` to `end`, in Unix seconds. An alert fires at once.

    vmalert evaluates one rule after the other, each for the whole time. As rules read what they have recorded
    themselves within the last hour, it is run for less than an hour at a time.
    """
    rules = directory / "rules.yml"
    rules.write_text(yaml.safe_dump(_replayable(interval)))
    with _flushing(url):
        for first in range(begin, end + 1, 5 * interval):
            last = min(first + 4 * interval, end)
            command = (
                *("vmalert", f"-rule={rules}", f"-datasource.url={url}", f"-remoteWrite.url={url}"),
                *(f"-replay.timeFrom={_time(first)}", f"-replay.timeTo={_time(last)}"),
                *(f"-replay.rulesDelay={_RULES_DELAY}", "-remoteWrite.flushInterval=100ms"),
                "-httpListenAddr=127.0.0.1:0",
            )
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr[-2000:]


@contextmanager
def _flushing(url: str) -> Iterator[None]:
    """Flush what was written, again and again: else VictoriaMetrics shows a new series after seconds."""
    stop = threading.Event()

    def flush() -> None:
        while not stop.wait(0.1):
            requests.get(f"{url}/internal/force_flush", timeout=60)

    thread = threading.Thread(target=flush)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    requests.get(f"{url}/internal/force_flush", timeout=60).raise_for_status()


def _replayable(interval: int) -> dict[str, Any]:
    """Return the rules without annotations: a replay does not run the queries in them."""
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    rules = [{**rule, "for": "0s", "annotations": {}} if "alert" in rule else rule for rule in group["rules"]]
    return {"groups": [{**group, "interval": f"{interval}s", "rules": rules}]}


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
