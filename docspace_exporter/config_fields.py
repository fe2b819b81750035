"""Reads one mapping of the configuration, field by field, so that all its mistakes are found in one run."""

import ipaddress
import re
from collections.abc import Collection
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from docspace_exporter import yaml_file

T = TypeVar("T")

ENVIRONMENT = "DOCSPACE_"
"""The place of fields that are environment variables."""

_DURATION = re.compile(
    r"(?:(\d{1,12})y)?(?:(\d{1,12})w)?(?:(\d{1,12})d)?(?:(\d{1,12})h)?(?:(\d{1,12})m)?(?:(\d{1,12})s)?(?:(\d{1,12})ms)?",
    re.ASCII,
)
_UNIT_SECONDS = (31_536_000, 604_800, 86_400, 3600, 60, 1, 0.001)
_LONGEST_DURATION = 31_536_000
_LONGEST_NAME = 40
_SECRET = re.compile(r"sk-\w{32}|-----BEGIN|\n")
_KIND_NAMES = {
    str: "string",
    bool: "boolean: write true or false",
    list: "list: begin each item with -",
    dict: "mapping",
}


def field_path(place: str, field: str) -> str:
    """Return how a user finds a field: `portals[1].url` in a file, `DOCSPACE_URL` in the environment."""
    return place + (field.upper() if place == ENVIRONMENT else field)


class Section:
    """One mapping of the configuration, at its place; what is wrong with it is added to `mistakes`."""

    def __init__(self, value: Any, place: str, fields: Collection[str], mistakes: list[str]) -> None:
        self.place = place
        self._mistakes = mistakes
        self._wrong: set[str] = set()
        self._values: dict[str, Any] = {}
        if not isinstance(value, dict):
            where = f"{place.rstrip('.')}: " if place else ""
            what = "is empty: give" if value is None else "is not a mapping of"
            mistakes.append(f"{where}{what} the fields {', '.join(fields)}")
            self._wrong.update(fields)
            return
        for field, given in value.items():
            if field not in fields:
                self.mistake(shown(str(field)), yaml_file.unknown_field(str(field), fields))
            elif given is not None:
                self._values[field] = given

    def mistake(self, field: str, text: str) -> None:
        """Add a mistake; only the first of a field is told."""
        if field not in self._wrong:
            self._wrong.add(field)
            self._mistakes.append(f"{field_path(self.place, field)}: {text}")

    def wrong(self, field: str) -> bool:
        """Tell whether a mistake of the field has been added."""
        return field in self._wrong

    def given(self, field: str) -> bool:
        """Tell whether the field has a value, of whatever kind."""
        return field in self._values

    def read(self, field: str, kind: type[T]) -> T | None:
        """Return the field's value; None where it is not given or, a mistake, not of that kind."""
        value = self._values.get(field)
        if value is None or isinstance(value, kind):
            return value
        hint = ": put it in quotes" if kind is str and isinstance(value, int | float) else ""
        self.mistake(field, f"is not a {_KIND_NAMES[kind]}{hint}")
        return None

    def file_name(self, field: str) -> str | None:
        """Return the field's file; None where it is not given or, a mistake, where it is a secret itself."""
        name = self.read(field, str)
        if name and is_secret(name):
            self.mistake(field, "is no name of a file but what belongs into one: put it there")
            return None
        return name

    def duration(self, field: str) -> float | None:
        """Return seconds of a duration as Prometheus writes it; None where not given or, a mistake, none."""
        value = self._values.get(field)
        if value is None:
            return None
        match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
        if match is None:
            self.mistake(field, "is not a duration: write it with its unit, such as 30s, 5m or 1h30m")
            return None
        seconds = sum(int(count) * unit for count, unit in zip(match.groups("0"), _UNIT_SECONDS, strict=True))
        if not 0 < seconds <= _LONGEST_DURATION:
            self.mistake(field, "is out of range: a duration is more than 0 and at most 1y")
            return None
        return float(seconds)

    def subsection(self, field: str, fields: Collection[str]) -> "Section":
        """Return the mapping in a field, empty where it is not given."""
        return Section(self.read(field, dict) or {}, f"{self.place}{field}.", fields, self._mistakes)


def shown(name: str) -> str:
    """Return an unknown field's name, cut off where a secret may begin: `{api_key:sk-…}` lacks a space."""
    shown = re.split(":|sk-", name)[0][:_LONGEST_NAME]
    return shown if shown == name else f"{shown}…"


def is_secret(text: str) -> bool:
    """Tell whether a text is, or has in it, an API key or a key in PEM form."""
    return _SECRET.search(text) is not None


def split_url(text: str) -> SplitResult | None:
    """Return the parts of an http or https address; None where it is none."""
    if not text.isprintable() or " " in text or "\\" in text:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or parts.netloc.endswith(":"):
        return None
    return parts


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
