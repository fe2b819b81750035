"""The text of all series, rendered fast: built once per poll, with ticking values added at the scrape.

prometheus-client renders each part that needs its rules once: comments, the portal's own series, and the
labels of each key, which the other series of the key share.
"""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import msgspec
from prometheus_client import exposition as text_format
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from docspace_exporter import gzip_blocks
from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace.model import ApiKey, Snapshot
from docspace_exporter.gzip_blocks import Block, lasting_block
from docspace_exporter.metrics import (
    KEY_GAUGES,
    LABELED_KEY_GAUGES,
    TICKING_KEY_GAUGES,
    ExporterState,
    KeyGauge,
    LabeledKeyGauge,
    Labels,
    TickingKeyGauge,
    exporter_metrics,
    key_info,
    key_labels,
    portal_labels,
    portal_metrics,
    ticking_portal_metrics,
)
from docspace_exporter.poller import PortalState

_EOF = b"# EOF\n"


class Format(Enum):
    """A format of the exposition, by its content type."""

    TEXT = text_format.CONTENT_TYPE_PLAIN_0_0_4
    OPENMETRICS = openmetrics.CONTENT_TYPE_LATEST


class _Family(msgspec.Struct, frozen=True):
    """One portal's part of a metric family whose values stay the same between polls."""

    metric: Metric
    """Without samples: only for HELP and TYPE."""
    block: Block
    temporary: Sequence[tuple[float, str]] = ()
    """Lines that may end between polls, and the Unix seconds of their end."""

    def blocks(self, now: float) -> list[Block]:
        """Return the blocks that have lines."""
        lines = "".join([line for end, line in self.temporary if now < end])
        return [block for block in (self.block, Block(lines.encode())) if block.text]


class _TickingFamily(msgspec.Struct, frozen=True):
    """One portal's part of a metric family with ticking values: each line up to its value, and its date."""

    metric: Metric
    heads: Sequence[str]
    moments: Sequence[float]
    value: Callable[[float, float], float]

    def text(self, now: float) -> str:
        value = self.value
        lines = zip(self.heads, self.moments, strict=True)
        return "".join([f"{head}{value(moment, now)}\n" for head, moment in lines])


class _PortalText(msgspec.Struct, frozen=True):
    state: PortalState
    labels: Labels
    families: Sequence[_Family]
    ticking: Sequence[_TickingFamily]


class _Exposed(msgspec.Struct, frozen=True):
    """Everything that an exposition is rendered from."""

    exporter: ExporterState | None
    """None to leave the exporter's own series out."""
    label_names: Sequence[str] = ()
    portals: Mapping[str, _PortalText] = {}
    version: int = 0
    """Grows with every change."""


class Exposition:
    """Holds the text of every portal's newest state, and renders a scrape from it.

    Scrapes within the same second share one rendering, so a thousand clients cost no more than one.
    """

    def __init__(
        self,
        exporter: ExporterState | None,
        process: Collector,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`process` collects the metrics of the process itself; None as `exporter` leaves its series out."""
        self._exposed = _Exposed(exporter)
        self._process = process
        self._clock = clock
        self._changing = threading.Lock()
        self._rendering = threading.Lock()
        self._rendered: dict[tuple[Format, bool], bytes] = {}
        self._rendered_at: tuple[int, float] = -1, 0.0
        """Version and Unix seconds of what is in `_rendered`."""

    def show(
        self,
        exporter: ExporterState | None,
        states: Callable[[], Iterable[PortalState]],
        label_names: Sequence[str],
    ) -> None:
        """Expose these portals, and no other, from now on."""
        with self._changing:
            texts = {state.portal.name: _portal_text(state, label_names) for state in states()}
            self._change(exporter=exporter, label_names=label_names, portals=texts)

    def show_exporter(self, exporter: ExporterState) -> None:
        """Expose another state of the exporter itself."""
        with self._changing:
            self._change(exporter=exporter)

    def update(self, state: PortalState) -> None:
        """Expose a portal's new state, unless the portal is no longer exposed."""
        with self._changing:
            exposed = self._exposed
            shown = exposed.portals.get(state.portal.name)
            if shown is not None and shown.state.portal == state.portal:
                text = _portal_text(state, exposed.label_names, shown)
                self._change(portals={**exposed.portals, state.portal.name: text})

    def _change(self, **fields: Any) -> None:
        version = self._exposed.version + 1
        self._exposed = msgspec.structs.replace(self._exposed, version=version, **fields)

    def render(self, format_: Format, *, gzip: bool) -> bytes:
        """Return the exposition as it is now, counted in whole seconds, gzipped or plain."""
        with self._rendering:
            exposed, now = self._exposed, float(int(self._clock()))
            if self._rendered_at != (exposed.version, now):
                self._rendered_at, self._rendered = (exposed.version, now), {}
            body = self._rendered.get((format_, gzip))
            if body is None:
                blocks = self._blocks(exposed, format_, now)
                body = gzip_blocks.gzip(blocks) if gzip else b"".join(block.text for block in blocks)
                self._rendered[format_, gzip] = body
            return body

    def _blocks(self, exposed: _Exposed, format_: Format, now: float) -> Iterator[Block]:
        if exposed.exporter:
            yield Block(_render(_StaticCollector(exporter_metrics(exposed.exporter)), format_))
        portals = list(exposed.portals.values())
        for parts in zip(*(portal.families for portal in portals), strict=True):
            if blocks := [block for part in parts for block in part.blocks(now)]:
                yield Block(_render(_StaticCollector([parts[0].metric]), format_))
                yield from blocks
        for metrics in zip(
            *(ticking_portal_metrics(portal.state, portal.labels, now) for portal in portals), strict=True
        ):
            samples = [sample for metric in metrics for sample in metric.samples]
            if samples:
                yield Block(_render(_StaticCollector([_metric_with(metrics[0], samples)]), format_))
        for parts_ in zip(*(portal.ticking for portal in portals), strict=True):
            if any(part.heads for part in parts_):
                yield Block(_render(_StaticCollector([parts_[0].metric]), format_))
                yield from (Block(part.text(now).encode()) for part in parts_)
        yield Block(_render(self._process, format_))
        if format_ is Format.OPENMETRICS:
            yield Block(_EOF)


def _portal_text(
    state: PortalState, label_names: Sequence[str], before: _PortalText | None = None
) -> _PortalText:
    """Return the text of a portal. Parts of `before` that come from the same snapshot are reused."""
    labels = portal_labels(state.portal, label_names)
    portal = [_family(metric, _sample_lines(metric)) for metric in portal_metrics(state, labels)]
    if before is not None and before.state.snapshot is state.snapshot:
        return _PortalText(state, labels, [*portal, *before.families[len(portal) :]], before.ticking)
    info = key_info(state, labels)
    snapshot = state.snapshot
    keys = snapshot.keys if snapshot else ()
    series = list(zip(keys, _label_texts([key_labels(labels, key) for key in keys]), strict=True))
    return _PortalText(
        state,
        labels,
        [
            *portal,
            _family(info, _sample_lines(info)),
            *(_key_family(gauge, state.snapshot, series) for gauge in KEY_GAUGES),
            *(
                _labeled_key_family(gauge, state.portal, state.snapshot, series)
                for gauge in LABELED_KEY_GAUGES
            ),
        ],
        [_ticking_family(gauge, series) for gauge in TICKING_KEY_GAUGES],
    )


def _key_family(gauge: KeyGauge, snapshot: Snapshot | None, series: Sequence[tuple[ApiKey, str]]) -> _Family:
    lines = []
    for key, labels in series:
        value = gauge.value(key, snapshot) if snapshot else None
        if value is not None:
            lines.append(f"{gauge.name}{labels} {floatToGoString(value)}\n")  # type: ignore[no-untyped-call]
    return _family(GaugeMetricFamily(gauge.name, gauge.documentation), "".join(lines))


def _labeled_key_family(
    gauge: LabeledKeyGauge, portal: Portal, snapshot: Snapshot | None, series: Sequence[tuple[ApiKey, str]]
) -> _Family:
    lines: list[str] = []
    temporary: list[tuple[float, str]] = []
    for key, labels in series:
        for label, value, end in gauge.values(key, portal, snapshot) if snapshot else ():
            number = floatToGoString(value)  # type: ignore[no-untyped-call]
            line = f'{gauge.name}{labels[:-1]},{gauge.label}="{label}"}} {number}\n'
            if math.isinf(end):
                lines.append(line)
            else:
                temporary.append((end, line))
    family = _family(GaugeMetricFamily(gauge.name, gauge.documentation), "".join(lines))
    return msgspec.structs.replace(family, temporary=temporary)


def _ticking_family(gauge: TickingKeyGauge, series: Sequence[tuple[ApiKey, str]]) -> _TickingFamily:
    moments = [(gauge.moment(key), labels) for key, labels in series]
    return _TickingFamily(
        GaugeMetricFamily(gauge.name, gauge.documentation),
        [f"{gauge.name}{labels} " for moment, labels in moments if moment is not None],
        [moment for moment, _ in moments if moment is not None],
        gauge.value,
    )


def _family(metric: Metric, lines: str) -> _Family:
    return _Family(_metric_with(metric, []), lasting_block(lines.encode()))


def _label_texts(labels: Sequence[Labels]) -> list[str]:
    """Return the labels of each series as text, including the braces."""
    samples = [Sample("x", dict(names), 0) for names in labels]
    lines = _sample_lines(_metric_with(GaugeMetricFamily("x", ""), samples))
    return [line[1 : line.rindex("}") + 1] for line in lines.split("\n")[:-1]]


def _metric_with(metric: Metric, samples: list[Sample]) -> Metric:
    other = Metric(metric.name, metric.documentation, metric.type)
    other.samples = samples
    return other


class _StaticCollector(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _render(collector: Collector, format_: Format) -> bytes:
    """Return prometheus-client's rendering, without the EOF line of OpenMetrics."""
    if format_ is Format.OPENMETRICS:
        return bytes(openmetrics.generate_latest(collector)).removesuffix(_EOF)  # type: ignore[no-untyped-call]
    return text_format.generate_latest(collector)


def _sample_lines(metric: Metric) -> str:
    """Return the sample lines of a metric; they are the same in both formats."""
    return _render(_StaticCollector([metric]), Format.TEXT).decode().split("\n", 2)[2]
