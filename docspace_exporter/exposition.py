"""The exposition: holds the text of every portal's newest state, and renders a scrape from it, fast.

Texts are built once per poll; at a scrape, ticking values are added, and what changed is compressed.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from prometheus_client.registry import Collector

from docspace_exporter import formats, gzip_blocks
from docspace_exporter.formats import Format
from docspace_exporter.gzip_blocks import Block
from docspace_exporter.metrics import ExporterState, exporter_metrics
from docspace_exporter.poller import PortalState
from docspace_exporter.portal_text import PortalText, SeriesText, joined, portal_text

GROUP = 64
GROUP_SIZE = 1024 * 1024
"""Portals, and bytes of their texts, that are joined: a scrape has fewer parts to collect then.

They are joined again after each poll of one of them.
"""


class _Group(msgspec.Struct, frozen=True):
    portals: Mapping[str, PortalText]
    series: SeriesText
    """Of all of them."""


class _Exposed(msgspec.Struct, frozen=True):
    """Everything that an exposition is rendered from."""

    exporter: ExporterState | None
    """None to leave the exporter's own series out."""
    label_names: Sequence[str] = ()
    groups: Sequence[_Group] = ()
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
            texts = [portal_text(state, label_names) for state in states()]
            self._change(exporter=exporter, label_names=label_names, groups=_groups(texts))

    def show_exporter(self, exporter: ExporterState) -> None:
        """Expose another state of the exporter itself."""
        with self._changing:
            self._change(exporter=exporter)

    def update(self, state: PortalState) -> None:
        """Expose a portal's new state, unless the portal is no longer exposed."""
        name = state.portal.name
        with self._changing:
            exposed = self._exposed
            for position, group in enumerate(exposed.groups):
                shown = group.portals.get(name)
                if shown is not None and shown.state.portal == state.portal:
                    text = portal_text(state, exposed.label_names, shown)
                    groups = [*exposed.groups]
                    groups[position : position + 1] = _groups(
                        [*{**group.portals, name: text}.values()], group.series
                    )
                    self._change(groups=groups)

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
            yield Block(formats.render(exporter_metrics(exposed.exporter), format_))
        series = [group.series for group in exposed.groups]
        for parts in zip(*(text.families for text in series), strict=True):
            if blocks := [block for part in parts for block in part.blocks_at(now)]:
                yield Block(formats.render([parts[0].metric], format_))
                yield from blocks
        for ticking in zip(*(text.ticking for text in series), strict=True):
            if any(part.heads for part in ticking):
                yield Block(formats.render([ticking[0].metric], format_))
                yield from (Block(part.text(now).encode()) for part in ticking)
        yield Block(formats.render_collector(self._process, format_))
        if format_ is Format.OPENMETRICS:
            yield Block(formats.EOF)


def _groups(portals: Sequence[PortalText], before: SeriesText | None = None) -> list[_Group]:
    """Return the portals in groups of limited size; `before` is the text of all of them until now."""
    if not portals:
        return []
    if len(portals) > GROUP or (len(portals) > 1 and sum(portal.size for portal in portals) > GROUP_SIZE):
        middle = len(portals) // 2
        return [*_groups(portals[:middle]), *_groups(portals[middle:])]
    by_name = {portal.state.portal.name: portal for portal in portals}
    return [_Group(by_name, joined([portal.series for portal in portals], before))]
