"""Days of history for Prometheus and VictoriaMetrics, as of an exporter that ran until a moment ago."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

STEP = 240.0
"""Seconds between samples: less than the 5 minutes for which a query takes a sample to hold."""

_POLL_INTERVAL = 60.0
_POLL_SECONDS = 0.2


class History:
    """What an exporter that exposes this `now` would have exposed for some days, until a moment before."""

    def __init__(self, exposition: str, now: float, days: float, scrape_labels: Mapping[str, str]) -> None:
        self._now = now
        self._moments = [now - STEP / 8 - STEP * back for back in reversed(range(int(days * 86_400 / STEP)))]
        self._scrape_labels = scrape_labels
        self._samples = [
            sample
            for family in text_string_to_metric_families(exposition)
            for sample in family.samples
            if sample.name.startswith("docspace_")
        ]

    def backfill_prometheus(self, data: Path) -> None:
        """Write blocks into the data directory of a Prometheus that is not running yet."""
        file = data.with_name("history.om")
        with file.open("w") as output:
            output.writelines(self._lines(ticks_per_second=1))
            output.write("# EOF\n")
        command = ("promtool", "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=192h")
        subprocess.run((*command, str(file), str(data)), check=True, capture_output=True)

    def backfill_victoria_metrics(self, url: str) -> None:
        """Import into a running VictoriaMetrics."""
        lines = (line.encode() for line in self._lines(ticks_per_second=1000))
        requests.post(f"{url}/api/v1/import/prometheus", data=lines, timeout=60).raise_for_status()

    def _lines(self, ticks_per_second: int) -> Iterator[str]:
        created = {
            _key(sample): sample.value
            for sample in self._samples
            if sample.name == "docspace_api_key_created_timestamp_seconds"
        }
        for sample in self._samples:
            labels = {**sample.labels, **self._scrape_labels}
            series = (
                f"{sample.name}{{{','.join(f'{name}={_quote(value)}' for name, value in labels.items())}}}"
            )
            for moment in self._moments:
                if moment >= created.get(_key(sample), 0):
                    yield f"{series} {self._value(sample, moment)!r} {round(moment * ticks_per_second)}\n"

    def _value(self, sample: Sample, moment: float) -> float:
        age = self._now - moment
        polls = (moment - self._moments[0]) / _POLL_INTERVAL
        then = {
            "docspace_api_key_time_to_expiry_seconds": sample.value + age,
            "docspace_api_key_time_since_last_use_seconds": max(0.0, sample.value - age),
            "docspace_api_key_last_seen_timestamp_seconds": sample.value - age,
            "docspace_poll_last_success_timestamp_seconds": max(0.0, sample.value - age),
            "docspace_poll_duration_seconds_sum": polls * _POLL_SECONDS,
            "docspace_poll_duration_seconds_count": polls,
            "docspace_poll_failures_total": polls if sample.value else 0.0,
        }
        return then.get(sample.name, sample.value)


def _key(sample: Sample) -> tuple[str, str]:
    return sample.labels.get("portal", ""), sample.labels.get("id", "")


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
