"""Reads the exceptions of a portal: keys whose state somebody has accepted."""

import re
from datetime import UTC, date, datetime, time

import msgspec

from docspace_exporter.config.section import Section, is_secret
from docspace_exporter.config.strict_yaml import nearest

ALLOWED = ("expiry", "full_access", "never_expires", "unused")
"""What an exception can allow."""

EXCEPTION_FIELDS = ("name", "owner", "id", "allow", "reason", "until")
_PATTERNS = EXCEPTION_FIELDS[:3]
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


class KeyException(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys are excepted from which alerts, why, and until when.

    The patterns, in which `*` and `?` mean what they mean in a shell, must all match; None matches any key.
    """

    name: str | None = None
    owner: str | None = None
    id: str | None = None
    allow: tuple[str, ...]
    reason: str
    until: date | None = None

    @property
    def end(self) -> float:
        """The Unix time from which it no longer holds: midnight UTC; infinite without `until`."""
        return datetime.combine(self.until, time(), UTC).timestamp() if self.until else float("inf")

    def __str__(self) -> str:
        """Return the patterns as they are configured."""
        patterns = {field: getattr(self, field) for field in _PATTERNS}
        return ", ".join(f"{field}: {pattern}" for field, pattern in patterns.items() if pattern is not None)


def read_exceptions(portal: Section) -> tuple[KeyException, ...]:
    """Return the exceptions of a portal, which are meaningless if they have errors."""
    return tuple(map(_read_exception, portal.subsections("exceptions", EXCEPTION_FIELDS)))


def _read_exception(section: Section) -> KeyException:
    patterns = {field: _read_pattern(section, field) for field in _PATTERNS}
    if not any(map(section.is_set, _PATTERNS)):
        section.add_error("name", "is missing: set name, owner or id, to say which keys are excepted")
    return KeyException(
        **patterns, allow=_read_allow(section), reason=_read_reason(section), until=_read_until(section)
    )


def _read_pattern(section: Section, field: str) -> str | None:
    pattern = section.read(field, str)
    if pattern == "":
        section.add_error(field, "is empty: expected a pattern, such as backup*")
    elif pattern and is_secret(pattern):
        section.add_error(field, "contains an API key, which would be visible to everyone")
    return pattern


def _read_allow(section: Section) -> tuple[str, ...]:
    values: list[object] = section.read("allow", list) or []
    if not values:
        section.add_error("allow", f"is missing or empty: expected a list of {', '.join(ALLOWED)}")
    for index, value in enumerate(values):
        if value not in ALLOWED:
            hint = nearest(value, ALLOWED) if isinstance(value, str) else ""
            expected = "" if hint else f": expected {', '.join(ALLOWED)}"
            section.add_error(f"allow[{index}]", f"unknown value{hint}{expected}")
    return tuple(sorted({str(value) for value in values}))


def _read_reason(section: Section) -> str:
    reason = section.read("reason", str)
    if reason is None or not reason.strip():
        section.add_error("reason", "is missing: say why, for readers of the status page")
        return ""
    if is_secret(reason):
        section.add_error("reason", "contains an API key, which would be visible to everyone")
    return reason.strip()


def _read_until(section: Section) -> date | None:
    if not section.is_set("until"):
        return None
    text = section.read("until", str) or ""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    section.add_error("until", "is not a valid date: expected one such as 2027-03-01")
    return None
