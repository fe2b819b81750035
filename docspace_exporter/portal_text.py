"""The text of a portal's series, built once per poll; prometheus-client renders what needs its rules.

It renders the portal's own series, and the labels of each key once, which all other series of the key share.
"""

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import msgspec
from prometheus_client.core import Metric
from prometheus_client.utils import floatToGoString

from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace.model import ApiKey, Snapshot
from docspace_exporter.formats import family, label_texts, sample_lines
from docspace_exporter.gauges import KeyGauge, LabeledKeyGauge, TickingKeyGauge, TickingPortalGauge
from docspace_exporter.gzip_blocks import Block, deflated
from docspace_exporter.metrics import (
    KEY_GAUGES,
    LABELED_KEY_GAUGES,
    TICKING_KEY_GAUGES,
    TICKING_PORTAL_GAUGES,
    Labels,
    key_info,
    key_labels,
    portal_labels,
    portal_metrics,
)
from docspace_exporter.poller import PortalState

_Series = Sequence[tuple[ApiKey, str]]
"""The keys, each with the labels of its series."""

WORTH_DEFLATING = 256 * 1024
"""Bytes from which the text of portals is deflated in advance, not at each scrape.

It takes more space, as families that are deflated apart cannot refer to each other.
"""

SMALLEST_BLOCK = 1024
"""Bytes of a family, below which it would take far more."""


class Family(msgspec.Struct, frozen=True):
    """A metric family whose values stay the same between polls."""

    metric: Metric
    block: Block
    temporary: Sequence[tuple[float, str]] = ()
    """Lines that may end between polls, and the Unix seconds of their end."""

    def blocks_at(self, now: float) -> Sequence[Block]:
        """Return the blocks that have lines at a time in Unix seconds."""
        lines = "".join([line for end, line in self.temporary if now < end])
        return [block for block in (self.block, Block(lines.encode())) if block.text]


class TickingFamily(msgspec.Struct, frozen=True):
    """A metric family with ticking values: each line up to its value, and the date or dates that it is of."""

    metric: Metric
    heads: Sequence[str]
    moments: Sequence[Any]
    value: Callable[[Any, float], float]

    def text(self, now: float) -> str:
        """Return the lines at a time in Unix seconds."""
        value = self.value
        lines = zip(self.heads, self.moments, strict=True)
        return "".join([f"{head}{value(moment, now)}\n" for head, moment in lines])


class SeriesText(msgspec.Struct, frozen=True):
    """The text of one or several portals, by metric family."""

    families: Sequence[Family]
    ticking: Sequence[TickingFamily]


class PortalText(msgspec.Struct, frozen=True):
    """The text of one portal, and what it was built from."""

    state: PortalState
    labels: Labels
    series: SeriesText

    @property
    def size(self) -> int:
        """Bytes that stay the same between polls."""
        return sum([len(family.block.text) for family in self.series.families])


def portal_text(
    state: PortalState, label_names: Sequence[str], before: PortalText | None = None
) -> PortalText:
    """Return the text of a portal. Parts of `before` that come from the same snapshot are reused."""
    labels = portal_labels(state.portal, label_names)
    portal = [_family(metric, sample_lines(metric)) for metric in portal_metrics(state, labels)]
    if before is not None and before.state.snapshot is state.snapshot:
        kept = before.series
        series = SeriesText([*portal, *kept.families[len(portal) :]], kept.ticking)
    else:
        series = _series_text(state, labels, portal)
    return PortalText(state, labels, series)


def _series_text(state: PortalState, labels: Labels, portal: Sequence[Family]) -> SeriesText:
    info = key_info(state, labels)
    snapshot = state.snapshot
    keys = snapshot.keys if snapshot else ()
    series = list(zip(keys, label_texts([key_labels(labels, key) for key in keys]), strict=True))
    return SeriesText(
        [
            *portal,
            _family(info, sample_lines(info)),
            *(_key_family(gauge, snapshot, series) for gauge in KEY_GAUGES),
            *(_labeled_key_family(gauge, state.portal, snapshot, series) for gauge in LABELED_KEY_GAUGES),
        ],
        [
            *(_ticking_portal_family(gauge, snapshot, labels) for gauge in TICKING_PORTAL_GAUGES),
            *(_ticking_key_family(gauge, series) for gauge in TICKING_KEY_GAUGES),
        ],
    )


def joined(texts: Sequence[SeriesText], before: SeriesText | None = None) -> SeriesText:
    """Return the text of several portals, deflated; what is the same as `before` is not deflated again."""
    families = [_joined_family(parts) for parts in zip(*(text.families for text in texts), strict=True)]
    if sum(len(family.block.text) for family in families) >= WORTH_DEFLATING:
        known = before.families if before else [None] * len(families)
        families = [_deflated(family, old) for family, old in zip(families, known, strict=True)]
    return SeriesText(
        families,
        [
            TickingFamily(
                parts[0].metric,
                [*chain.from_iterable(part.heads for part in parts)],
                [*chain.from_iterable(part.moments for part in parts)],
                parts[0].value,
            )
            for parts in zip(*(text.ticking for text in texts), strict=True)
        ],
    )


def _joined_family(parts: Sequence[Family]) -> Family:
    block = Block(b"".join([part.block.text for part in parts]))
    return Family(parts[0].metric, block, [*chain.from_iterable(part.temporary for part in parts)])


def _deflated(new: Family, before: Family | None) -> Family:
    if before and before.block.deflated is not None and before.block.text == new.block.text:
        block = before.block
    elif len(new.block.text) >= SMALLEST_BLOCK:
        block = deflated(new.block.text)
    else:
        block = new.block
    return Family(new.metric, block, new.temporary)


def _family(metric: Metric, lines: str, temporary: Sequence[tuple[float, str]] = ()) -> Family:
    described = family(metric.name, metric.documentation, metric.type)
    return Family(described, Block(lines.encode()), temporary)


def _key_family(gauge: KeyGauge, snapshot: Snapshot | None, series: _Series) -> Family:
    lines = []
    for key, labels in series:
        value = gauge.value(key, snapshot) if snapshot else None
        if value is not None:
            lines.append(f"{gauge.name}{labels} {floatToGoString(value)}\n")  # type: ignore[no-untyped-call]
    return _family(family(gauge.name, gauge.documentation), "".join(lines))


def _labeled_key_family(
    gauge: LabeledKeyGauge, portal: Portal, snapshot: Snapshot | None, series: _Series
) -> Family:
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
    return _family(family(gauge.name, gauge.documentation), "".join(lines), temporary)


def _ticking_key_family(gauge: TickingKeyGauge, series: _Series) -> TickingFamily:
    moments = [(gauge.moment(key), labels) for key, labels in series]
    return TickingFamily(
        family(gauge.name, gauge.documentation),
        [f"{gauge.name}{labels} " for moment, labels in moments if moment is not None],
        [moment for moment, _ in moments if moment is not None],
        gauge.value,
    )


def _ticking_portal_family(
    gauge: TickingPortalGauge, snapshot: Snapshot | None, labels: Labels
) -> TickingFamily:
    metric = family(gauge.name, gauge.documentation)
    if snapshot is None:
        return TickingFamily(metric, (), (), gauge.value)
    (text,) = label_texts([labels])
    return TickingFamily(metric, [f"{gauge.name}{text} "], [gauge.moments(snapshot)], gauge.value)
