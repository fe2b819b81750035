"""Reads one mapping of the configuration field by field, and collects all its errors."""

import re
from collections.abc import Collection, Iterator
from typing import Any, TypeVar

from docspace_exporter.config import strict_yaml
from docspace_exporter.text import one_line

T = TypeVar("T")

ENVIRONMENT = "DOCSPACE_"
"""The place of fields that are set by environment variables."""

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
    list: "list: start each item with -",
    dict: "mapping",
}


class ConfigError(Exception):
    """The configuration is invalid; `errors` has one line per error, with the path of the field."""

    def __init__(self, *errors: str) -> None:
        self.errors = tuple(map(one_line, errors))  # a field's name may be any text
        super().__init__("\n".join(self.errors))


def field_path(place: str, field: str) -> str:
    """Return the path of a field: `portals[1].url` in a file, `DOCSPACE_URL` in the environment."""
    return place + (field.upper() if place == ENVIRONMENT else field)


class Section:
    """One mapping of the configuration and its place; its errors are added to `errors`."""

    def __init__(self, value: Any, place: str, fields: Collection[str], errors: list[str]) -> None:
        self.place = place
        self._errors = errors
        self._invalid: set[str] = set()
        self._values: dict[str, Any] = {}
        if not isinstance(value, dict):
            where = f"{place.rstrip('.')}: " if place else ""
            what = "is empty" if value is None else "must be a mapping"
            errors.append(f"{where}{what}: the fields are {', '.join(fields)}")
            self._invalid.update(fields)
            return
        for field, content in value.items():
            if field not in fields:
                self.add_error(safe_name(str(field)), strict_yaml.unknown_field(str(field), fields))
            elif content is not None:
                self._values[field] = content

    def add_error(self, field: str, text: str) -> None:
        """Add an error, unless the field already has one."""
        if field not in self._invalid:
            self._invalid.add(field)
            self._errors.append(f"{field_path(self.place, field)}: {text}")

    def has_error(self, field: str) -> bool:
        """Return whether the field has an error."""
        return field in self._invalid

    def is_set(self, field: str) -> bool:
        """Return whether the field is set, to a value of any type."""
        return field in self._values

    def read(self, field: str, kind: type[T]) -> T | None:
        """Return the field's value; None if it is not set or, which is an error, of another type."""
        value = self._values.get(field)
        if value is None or isinstance(value, kind):
            return value
        hint = ": put it in quotes" if kind is str and isinstance(value, int | float) else ""
        self.add_error(field, f"must be a {_KIND_NAMES[kind]}{hint}")
        return None

    def file_name(self, field: str) -> str | None:
        """Return the field's file name; None if it is not set or, which is an error, is a secret."""
        name = self.read(field, str)
        if name and is_secret(name):
            self.add_error(field, "must be a file name, not the secret itself: write the secret to a file")
            return None
        return name

    def duration(self, field: str) -> float | None:
        """Return a duration in seconds; None if it is not set or, which is an error, invalid."""
        value = self._values.get(field)
        if value is None:
            return None
        match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
        if match is None:
            self.add_error(
                field, "is not a valid duration: expected one with a unit, such as 30s, 5m or 1h30m"
            )
            return None
        seconds = sum(int(count) * unit for count, unit in zip(match.groups("0"), _UNIT_SECONDS, strict=True))
        if not 0 < seconds <= _LONGEST_DURATION:
            self.add_error(field, "is out of range: must be more than 0 and at most 1y")
            return None
        return float(seconds)

    def subsection(self, field: str, fields: Collection[str]) -> "Section":
        """Return the mapping in a field; empty if it is not set."""
        return Section(self.read(field, dict) or {}, f"{self.place}{field}.", fields, self._errors)

    def subsections(self, field: str, fields: Collection[str]) -> "Iterator[Section]":
        """Yield the mappings of the list in a field; none if it is not set."""
        values: list[Any] = self.read(field, list) or []
        for index, value in enumerate(values):
            yield Section(value, f"{self.place}{field}[{index}].", fields, self._errors)


def safe_name(name: str) -> str:
    """Return an unknown field's name, cut off where a secret may start: `{api_key:sk-…}` lacks a space."""
    start = re.split(":|sk-", name)[0][:_LONGEST_NAME]
    return start if start == name else f"{start}…"


def is_secret(text: str) -> bool:
    """Return whether a text contains an API key or a PEM block."""
    return _SECRET.search(text) is not None
