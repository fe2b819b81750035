"""All docspace series as a prometheus-client collector: simple, but slow for thousands of keys.

`exposition` renders the same series faster; a test compares the two.
"""

import time
from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from docspace_exporter.metrics import (
    KEY_GAUGES,
    TICKING_KEY_GAUGES,
    ExporterState,
    Labels,
    exporter_metrics,
    key_info,
    key_labels,
    portal_labels,
    portal_metrics,
    ticking_portal_metrics,
)
from docspace_exporter.poller import PortalState


class DocSpaceCollector(Collector):
    """Collects from fixed states; `clock` returns the current time in Unix seconds."""

    def __init__(
        self,
        exporter: ExporterState,
        states: Sequence[PortalState],
        label_names: Sequence[str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._exporter = exporter
        self._portals = [(state, portal_labels(state.portal, label_names)) for state in states]
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield each metric that has samples."""
        yield from exporter_metrics(self._exporter)
        now = self._clock()
        merged: dict[str, Metric] = {}
        for state, labels in self._portals:
            for metric in _portal(state, labels, now):
                merged.setdefault(metric.name, metric)
                if merged[metric.name] is not metric:
                    merged[metric.name].samples.extend(metric.samples)
        yield from (metric for metric in merged.values() if metric.samples)


def _portal(state: PortalState, labels: Labels, now: float) -> Iterator[Metric]:
    yield from portal_metrics(state, labels)
    yield from ticking_portal_metrics(state, labels, now)
    yield key_info(state, labels)
    if not state.snapshot:
        return
    keys = [(key, dict(key_labels(labels, key))) for key in state.snapshot.keys]
    for gauge in KEY_GAUGES:
        metric = GaugeMetricFamily(gauge.name, gauge.documentation)
        for key, series in keys:
            value = gauge.value(key, state.snapshot)
            if value is not None:
                metric.samples.append(Sample(gauge.name, series, value))
        yield metric
    for ticking in TICKING_KEY_GAUGES:
        metric = GaugeMetricFamily(ticking.name, ticking.documentation)
        for key, series in keys:
            moment = ticking.moment(key)
            if moment is not None:
                metric.samples.append(Sample(ticking.name, series, ticking.value(moment, now)))
        yield metric
