"""Kinds of gauges: what each consists of, and where the values of its series come from."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace.model import ApiKey, Snapshot


class KeyGauge(msgspec.Struct, frozen=True):
    """A gauge with a series per key whose value stays the same between polls; None means no series."""

    name: str
    documentation: str
    value: Callable[[ApiKey, Snapshot], float | None]


class LabeledKeyGauge(msgspec.Struct, frozen=True):
    """A gauge with any number of series per key, distinguished by one label."""

    name: str
    documentation: str
    label: str
    values: Callable[[ApiKey, Portal, Snapshot], Iterable[tuple[str, float, float]]]
    """Value of the label, value of the series, and Unix seconds of its end."""


class TickingKeyGauge(msgspec.Struct, frozen=True):
    """A gauge with a series per key whose value is the time between a date of the key and now."""

    name: str
    documentation: str
    moment: Callable[[ApiKey], float | None]
    """Unix seconds; None means no series."""
    value: Callable[[float, float], float]
    """Seconds, from that date and now."""


class TickingPortalGauge(msgspec.Struct, frozen=True):
    """A gauge with a series per portal whose value changes at dates of its keys."""

    name: str
    documentation: str
    moments: Callable[[Snapshot], Sequence[float]]
    """Unix seconds, sorted."""
    value: Callable[[Sequence[float], float], float]
    """From those dates and now."""
