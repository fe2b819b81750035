"""The formats of the exposition, and prometheus-client's rendering of them: it alone escapes and comments."""

import functools
from collections.abc import Iterable, Sequence
from enum import Enum

from prometheus_client import exposition as text_format
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from docspace_exporter.metrics import Labels

EOF = b"# EOF\n"
"""The last line of OpenMetrics."""


class Format(Enum):
    """A format of the exposition, by its content type."""

    TEXT = text_format.CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = openmetrics.CONTENT_TYPE_LATEST


class _StaticCollector(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def render(metrics: Iterable[Metric], format_: Format) -> bytes:
    """Return the lines of metrics, in OpenMetrics without EOF."""
    return render_collector(_StaticCollector(metrics), format_)


def render_collector(collector: Collector, format_: Format) -> bytes:
    """Return the lines of what a collector collects, in OpenMetrics without EOF."""
    if format_ is Format.OPENMETRICS:
        return bytes(openmetrics.generate_latest(collector)).removesuffix(EOF)  # type: ignore[no-untyped-call]
    return text_format.generate_latest(collector)


@functools.cache
def family(name: str, documentation: str, type_: str = "gauge") -> Metric:
    """Return a metric without samples, the same for the same arguments; it must not be changed."""
    return Metric(name, documentation, type_)


def sample_lines(metric: Metric) -> str:
    """Return the lines of a metric's samples, which are the same in both formats."""
    return render([metric], Format.TEXT).decode().split("\n", 2)[2]


def label_texts(labels: Sequence[Labels]) -> list[str]:
    """Return the labels of each series as text, including the braces."""
    metric = GaugeMetricFamily("x", "")
    metric.samples = [Sample("x", dict(names), 0) for names in labels]
    return [line[1 : line.rindex("}") + 1] for line in sample_lines(metric).split("\n")[:-1]]
