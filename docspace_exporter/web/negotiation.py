"""Which format and coding of the exposition a client accepts (RFC 9110, 12.5)."""

from collections.abc import Iterator, Mapping

import msgspec

from docspace_exporter.formats import Format

_RANGES_LIMIT = 32
"""Scrapers send fewer than ten; the rest of a longer header is ignored."""

_FORMATS = {
    ("application/openmetrics-text", ""): Format.OPENMETRICS,
    ("application/openmetrics-text", "0.0.1"): Format.OPENMETRICS,
    ("application/openmetrics-text", "1.0.0"): Format.OPENMETRICS,
    ("text/plain", ""): Format.TEXT,
    ("text/plain", "0.0.4"): Format.TEXT,
    ("text/plain", "1.0.0"): Format.TEXT,
    ("text/*", ""): Format.TEXT,
    ("*/*", ""): Format.TEXT,
}
"""By media type and version."""

_ESCAPINGS = {"allow-utf-8", "underscores", "dots", "values"}
"""How a client wants metric names beyond ASCII. There are none, so each is as good."""


class _Range(msgspec.Struct, frozen=True):
    """One of the values of a header, in lower case."""

    name: str
    parameters: Mapping[str, str]
    weight: float


def format_for(accept: str) -> tuple[Format, str]:
    """Return the format that an Accept header prefers, the first of equals, and its content type.

    Without a format that the exporter has, it is the text format.
    """
    for wanted in sorted(_ranges(accept), key=lambda wanted: -wanted.weight):
        found = _FORMATS.get((wanted.name, wanted.parameters.get("version", "")))
        if found and wanted.weight:
            return found, _content_type(found, wanted.parameters)
    return Format.TEXT, Format.TEXT.value


def _content_type(format_: Format, asked: Mapping[str, str]) -> str:
    """Return the content type with the version and the escaping that the client asks for."""
    kind, version, charset = format_.value.split("; ")
    if asked.get("version"):
        version = f"version={asked['version']}"
    escaping = [f"escaping={asked['escaping']}"] if asked.get("escaping") in _ESCAPINGS else []
    return "; ".join([kind, version, charset, *escaping])


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header prefers gzip to no coding."""
    weights = {wanted.name: wanted.weight for wanted in _ranges(accept_encoding)}
    gzip = weights.get("gzip", weights.get("x-gzip"))
    if gzip is None:
        return weights.get("*", 0) > 0 and weights.get("identity") == 0
    return gzip > 0 and gzip >= weights.get("identity", 0)


def _ranges(header: str) -> Iterator[_Range]:
    for text in header.lower().split(",", _RANGES_LIMIT)[:_RANGES_LIMIT]:
        name, *parameters = text.split(";")
        pairs = (parameter.partition("=") for parameter in parameters)
        values = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
        yield _Range(name.strip(), values, _weight(values.get("q", "1")))


def _weight(text: str) -> float:
    """Return a weight between 0 and 1; 1 if it cannot be read."""
    try:
        weight = float(text)
    except ValueError:
        return 1.0
    return weight if 0 <= weight <= 1 else 1.0
