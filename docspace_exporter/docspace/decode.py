"""Decodes a portal's JSON response into immutable keys.

An unreadable field loses that field, never the key; a record without an id loses that record, never the
response.
"""

import html
import json
import math
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal, TypeVar

import msgspec

from docspace_exporter.docspace.model import ApiKey

T = TypeVar("T")

TEXT_LIMIT = 200
"""Characters kept of a name or an owner: both are free text, written by members of the portal."""

RECORD_LIMIT = 200_000
"""Most records in a response: 64 MiB hold no more real ones."""

_VALUE_LIMIT = 3_000_000
"""Most commas and opening brackets in a response, likewise. Each can take a hundred bytes of memory."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ENCODED = 20
"""More characters than one can become when it is HTML-encoded."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class InvalidResponseError(Exception):
    """The response as a whole cannot be read; the message says why and quotes nothing of it."""


class KeyList(msgspec.Struct, frozen=True):
    """The keys of one response, in the portal's order, and how many of its records were malformed."""

    keys: tuple[ApiKey, ...]
    malformed: int


class _UtcTime(msgspec.Struct, rename="camel"):
    """A date as the published OpenAPI promises it; DocSpace server 3.7 sends a string instead."""

    utc_time: str


_Date = str | _UtcTime | None
_Permissions = list[str] | msgspec.UnsetType | None


class _Creator(msgspec.Struct, rename="camel", gc=False):
    id: Any = None
    display_name: str | None = None


class _Record(msgspec.Struct, rename="camel", gc=False):
    """One record as on the wire. DocSpace server 3.7 leaves null fields out."""

    id: str | None = None
    name: str | None = None
    key_postfix: str | None = None
    permissions: _Permissions = None
    create_on: _Date = None
    expires_at: _Date = None
    last_used: _Date = None
    create_by: _Creator | None = None
    is_active: bool | None = None


class _KeysResponse(msgspec.Struct):
    response: list[_Record]


class _Unreadable(Enum):
    DATE = "unreadable date"


class _Dates(msgspec.Struct, frozen=True, kw_only=True):
    """The dates of a record as ApiKey has them, and whether any could not be read."""

    created: float | None
    last_used: float | None
    expiry: float | None
    flawed: bool


_ReplacementGroup = tuple[str | None, str]

_KEYS_RESPONSE = msgspec.json.Decoder(_KeysResponse)
_FIELDS = msgspec.structs.fields(_Record)
_UNREADABLE: Mapping[Any, Any] = {_Date: "", _Permissions: msgspec.UNSET}
"""The value for an unreadable field, by type, if an absent field has a meaning."""


def decode(body: bytes | bytearray) -> KeyList:
    """Return the keys in a response to `GET /api/2.0/keys`.

    Raises InvalidResponseError if it is not JSON, if its `response` is not a list, or if no record of a list
    that is not empty has an id.
    """
    _check_size(body)
    try:
        records = [(record, False) for record in _KEYS_RESPONSE.decode(body).response]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        records = [_read_record(value) for value in _bounded(_read_response(body))]
    _bounded(records)
    keys: dict[str, tuple[ApiKey, _ReplacementGroup]] = {}
    malformed = 0
    for record, flawed in records:
        id_ = _clean(record.id or "")
        if not id_ or id_ in keys:
            malformed += 1
            continue
        dates = _read_dates(record)
        malformed += flawed or dates.flawed
        keys[id_] = _make_key(id_, record, dates), _replacement_group(record)
    if records and not keys:
        raise InvalidResponseError("none of its records has an id")
    return KeyList(_mark_replaced(keys.values()), malformed)


def decode_object(body: bytes | bytearray) -> dict[str, Any]:
    """Return the object in `response` of any other endpoint; raises InvalidResponseError if there is none."""
    _check_size(body)
    response = _read_document(body)
    if not isinstance(response, dict):
        raise InvalidResponseError("its 'response' is not an object")
    return response


def _check_size(body: bytes | bytearray) -> None:
    """Reject what would take gigabytes to decode, such as 64 MiB of `{},{},{}`, a few kB when compressed."""
    if _count_values(body) <= _VALUE_LIMIT:
        return
    in_strings = sum(_count_values(string[0]) for string in _STRING.finditer(body))
    if _count_values(body) - in_strings > _VALUE_LIMIT:
        raise InvalidResponseError(f"it has more than {_VALUE_LIMIT} values")


def _count_values(text: bytes | bytearray) -> int:
    return sum(text.count(separator) for separator in b"{[,")


def _bounded(records: list[T]) -> list[T]:
    if len(records) > RECORD_LIMIT:
        raise InvalidResponseError(f"it has more than {RECORD_LIMIT} records")
    return records


def read_id(record: dict[str, Any]) -> str | None:
    """Return the id of a key's record as ApiKey has it; None if it has none."""
    value = record.get("id")
    return (_clean(value) if isinstance(value, str) else None) or None


def _read_response(body: bytes | bytearray) -> list[Any]:
    response = _read_document(body)
    if not isinstance(response, list):
        raise InvalidResponseError("its 'response' is not a list")
    return response


def _read_document(body: bytes | bytearray) -> Any:
    """Return what `response` holds, using the most tolerant decoder.

    msgspec rejects a document for one lone surrogate, which JSON allows; json rejects an integer of 5,000
    digits.
    """
    try:
        document = json.loads(body.decode("utf-8-sig", errors="replace"), parse_int=float)
    except (ValueError, RecursionError):
        raise InvalidResponseError("it is not JSON") from None
    if not isinstance(document, dict):
        raise InvalidResponseError("it is not a JSON object")
    return document.get("response")


def _read_record(value: Any) -> tuple[_Record, bool]:
    """Return what is readable of a record, and whether anything was not."""
    if not isinstance(value, dict):
        return _Record(), True
    fields: dict[str, Any] = {}
    flawed = False
    for field in _FIELDS:
        given = value.get(field.encode_name)
        try:
            fields[field.name] = msgspec.convert(given, field.type)
        except (msgspec.ValidationError, UnicodeError):  # the latter for lone surrogates in a member's name
            flawed = True
            fields[field.name] = _UNREADABLE.get(field.type)
    return _Record(**fields), flawed


def _read_dates(record: _Record) -> _Dates:
    created, last_used, expiry = (
        _timestamp(date) for date in (record.create_on, record.last_used, record.expires_at)
    )
    return _Dates(
        created=None if created is _Unreadable.DATE else created,
        last_used=None if last_used is _Unreadable.DATE else last_used,
        expiry=math.inf if expiry is None else None if expiry is _Unreadable.DATE else expiry,
        flawed=_Unreadable.DATE in (created, last_used, expiry),
    )


def _make_key(id_: str, record: _Record, dates: _Dates) -> ApiKey:
    owner = record.create_by.display_name if record.create_by else None
    return ApiKey(
        id=id_,
        name=_clean(record.name or ""),
        postfix=_clean(record.key_postfix or ""),
        # DocSpace server 3.7: displayName arrives HTML-encoded, name does not.
        owner=_clean(html.unescape((owner or "")[: _ENCODED * TEXT_LIMIT])),
        permissions=_read_permissions(record.permissions),
        created=dates.created,
        expiry=dates.expiry,
        last_used=dates.last_used,
        active=record.is_active,
    )


def _read_permissions(permissions: _Permissions) -> tuple[str, ...] | None:
    """Return the permissions as ApiKey has them.

    DocSpace server 3.7: a key is unrestricted if they are empty, contain `*`, or are left out, as they are
    after a change to `*`.
    """
    if permissions is msgspec.UNSET:
        return None
    if not permissions or "*" in permissions:
        return ()
    return tuple(sorted(map(_clean, permissions)))


def _timestamp(date: _Date) -> float | Literal[_Unreadable.DATE] | None:
    """Return Unix seconds; None for no date.

    DocSpace server 3.7: `yyyy-MM-ddTHH:mm:ss.fffffff` and `Z` or `+hh:mm`; year 1 means no date.
    """
    text = date.utc_time if isinstance(date, _UtcTime) else date
    if text is None or text.startswith("0001-01-01"):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _Unreadable.DATE
    if moment.tzinfo is None:
        if not isinstance(date, _UtcTime):
            return _Unreadable.DATE
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def _clean(text: str) -> str:
    return _UNSAFE.sub("\ufffd", text[:TEXT_LIMIT])


def _replacement_group(record: _Record) -> _ReplacementGroup:
    """Return what a key shares with its replacement: its creator, by id if possible, and its whole name."""
    creator = record.create_by
    owner = (creator.id if isinstance(creator.id, str) else creator.display_name) if creator else None
    return owner, record.name or ""


def _mark_replaced(readings: Collection[tuple[ApiKey, _ReplacementGroup]]) -> tuple[ApiKey, ...]:
    """Return the keys with `replaced` set. A key without a name or an owner has no replacement."""
    latest: dict[_ReplacementGroup, float] = {}
    for key, group in readings:
        if key.active and key.expiry is not None and all(group):
            latest[group] = max(key.expiry, latest.get(group, -math.inf))
    return tuple(
        msgspec.structs.replace(key, replaced=True)
        if key.expiry is not None and latest.get(group, -math.inf) > key.expiry
        else key
        for key, group in readings
    )
