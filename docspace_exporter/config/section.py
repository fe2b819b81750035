"""Reads one mapping of the configuration, field by field, so that all its errors are found in one run."""

import re
from collections.abc import Collection
from typing import Any, TypeVar

from docspace_exporter.config import strict_yaml
from docspace_exporter.text import one_line

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


class ConfigError(Exception):
    """The configuration cannot be used; `errors` has a line each, which names the field's path."""

    def __init__(self, *errors: str) -> None:
        self.errors = tuple(map(one_line, errors))  # a field's name may be any text
        super().__init__("\n".join(self.errors))


def field_path(place: str, field: str) -> str:
    """Return how a user finds a field: `portals[1].url` in a file, `DOCSPACE_URL` in the environment."""
    return place + (field.upper() if place == ENVIRONMENT else field)


class Section:
    """One mapping of the configuration, at its place; what is wrong with it is added to `errors`."""

    def __init__(self, value: Any, place: str, fields: Collection[str], errors: list[str]) -> None:
        self.place = place
        self._errors = errors
        self._wrong: set[str] = set()
        self._values: dict[str, Any] = {}
        if not isinstance(value, dict):
            where = f"{place.rstrip('.')}: " if place else ""
            what = "is empty: give" if value is None else "is not a mapping of"
            errors.append(f"{where}{what} the fields {', '.join(fields)}")
            self._wrong.update(fields)
            return
        for field, given in value.items():
            if field not in fields:
                self.add_error(shown(str(field)), strict_yaml.unknown_field(str(field), fields))
            elif given is not None:
                self._values[field] = given

    def add_error(self, field: str, text: str) -> None:
        """Add an error; only the first of a field is told."""
        if field not in self._wrong:
            self._wrong.add(field)
            self._errors.append(f"{field_path(self.place, field)}: {text}")

    def wrong(self, field: str) -> bool:
        """Tell whether an error of the field has been added."""
        return field in self._wrong

    def given(self, field: str) -> bool:
        """Tell whether the field has a value, of whatever kind."""
        return field in self._values

    def read(self, field: str, kind: type[T]) -> T | None:
        """Return the field's value; None where it is not given or, an error, not of that kind."""
        value = self._values.get(field)
        if value is None or isinstance(value, kind):
            return value
        hint = ": put it in quotes" if kind is str and isinstance(value, int | float) else ""
        self.add_error(field, f"is not a {_KIND_NAMES[kind]}{hint}")
        return None

    def file_name(self, field: str) -> str | None:
        """Return the field's file; None where it is not given or, an error, where it is a secret itself."""
        name = self.read(field, str)
        if name and is_secret(name):
            self.add_error(field, "is no name of a file but what belongs into one: put it there")
            return None
        return name

    def duration(self, field: str) -> float | None:
        """Return seconds of a duration as Prometheus writes it; None where not given or, an error, none."""
        value = self._values.get(field)
        if value is None:
            return None
        match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
        if match is None:
            self.add_error(field, "is not a duration: write it with its unit, such as 30s, 5m or 1h30m")
            return None
        seconds = sum(int(count) * unit for count, unit in zip(match.groups("0"), _UNIT_SECONDS, strict=True))
        if not 0 < seconds <= _LONGEST_DURATION:
            self.add_error(field, "is out of range: a duration is more than 0 and at most 1y")
            return None
        return float(seconds)

    def subsection(self, field: str, fields: Collection[str]) -> "Section":
        """Return the mapping in a field, empty where it is not given."""
        return Section(self.read(field, dict) or {}, f"{self.place}{field}.", fields, self._errors)


def shown(name: str) -> str:
    """Return an unknown field's name, cut off where a secret may begin: `{api_key:sk-…}` lacks a space."""
    shown = re.split(":|sk-", name)[0][:_LONGEST_NAME]
    return shown if shown == name else f"{shown}…"


def is_secret(text: str) -> bool:
    """Tell whether a text is, or has in it, an API key or a key in PEM form."""
    return _SECRET.search(text) is not None
