"""All docspace series as a prometheus-client collector: simple, but slow for thousands of keys.

`exposition` renders the same series faster; a test compares the two.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from docspace_exporter.gauges import KeyGauge, LabeledKeyGauge, TickingKeyGauge, TickingPortalGauge
from docspace_exporter.metrics import (
    KEY_GAUGES,
    LABELED_KEY_GAUGES,
    TICKING_KEY_GAUGES,
    TICKING_PORTAL_GAUGES,
    ExporterState,
    Labels,
    exporter_metrics,
    key_info,
    key_labels,
    portal_labels,
    portal_metrics,
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
    yield key_info(state, labels)
    if not state.snapshot:
        return
    for changing in TICKING_PORTAL_GAUGES:
        yield _metric(changing, [(labels, changing.value(changing.moments(state.snapshot), now))])
    keys = [(key, key_labels(labels, key)) for key in state.snapshot.keys]
    for gauge in KEY_GAUGES:
        yield _metric(gauge, ((series, gauge.value(key, state.snapshot)) for key, series in keys))
    for labeled in LABELED_KEY_GAUGES:
        yield _metric(
            labeled,
            (
                ({**series, labeled.label: label}, value)
                for key, series in keys
                for label, value, end in labeled.values(key, state.portal, state.snapshot)
                if now < end
            ),
        )
    for ticking in TICKING_KEY_GAUGES:
        moments = ((series, ticking.moment(key)) for key, series in keys)
        yield _metric(
            ticking,
            ((series, None if moment is None else ticking.value(moment, now)) for series, moment in moments),
        )


def _metric(
    gauge: KeyGauge | LabeledKeyGauge | TickingKeyGauge | TickingPortalGauge,
    values: Iterable[tuple[Labels, float | None]],
) -> Metric:
    """Return the metric with a sample for each value that is known."""
    metric = GaugeMetricFamily(gauge.name, gauge.documentation)
    metric.samples = [
        Sample(gauge.name, dict(labels), value) for labels, value in values if value is not None
    ]
    return metric
