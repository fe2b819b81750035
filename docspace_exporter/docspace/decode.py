"""Decodes a portal's JSON response into immutable keys.

An unreadable field loses that field, never the key; a record without an id loses that record, never the
response.
"""

import html
import math
import re
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal

import msgspec

from docspace_exporter.docspace.body import InvalidResponseError, bounded, check_size, read_list
from docspace_exporter.docspace.model import ApiKey

TEXT_LIMIT = 200
"""Characters kept of a name or an owner: both are free text, written by members of the portal."""

_ENCODED = 20
"""More characters than one can become when it is HTML-encoded."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


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


_ReplacementGroup = tuple[str | None, str]
_NONE: tuple[str, ...] = ()

_KEYS_RESPONSE = msgspec.json.Decoder(_KeysResponse)
_FIELDS = msgspec.structs.fields(_Record)
_UNREADABLE: Mapping[Any, Any] = {_Date: "", _Permissions: msgspec.UNSET}
"""The value for an unreadable field, by type, if an absent field has a meaning."""


def decode(body: bytes | bytearray) -> KeyList:
    """Return the keys in a response to `GET /api/2.0/keys`.

    Raises InvalidResponseError if it is not JSON, if its `response` is not a list, or if no record of a list
    that is not empty has an id.
    """
    check_size(body)
    try:
        records = [(record, _NONE) for record in bounded(_KEYS_RESPONSE.decode(body).response)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        records = [_read_record(value) for value in read_list(body)]
    keys: dict[str, tuple[ApiKey, _ReplacementGroup]] = {}
    left_out = 0
    for record, unreadable in records:
        id_ = _clean(record.id or "")
        if not id_ or id_ in keys:
            left_out += 1
            continue
        keys[id_] = _make_key(id_, record, unreadable), _replacement_group(record)
    if records and not keys:
        raise InvalidResponseError("none of its records has an id")
    listed = _mark_replaced(keys.values())
    return KeyList(listed, left_out + sum(bool(key.malformed) for key in listed))


def read_id(record: dict[str, Any]) -> str | None:
    """Return the id of a key's record as ApiKey has it; None if it has none."""
    value = record.get("id")
    return (_clean(value) if isinstance(value, str) else None) or None


def _read_record(value: Any) -> tuple[_Record, tuple[str, ...]]:
    """Return what is readable of a record, and the fields that are not."""
    if not isinstance(value, dict):
        return _Record(), _NONE
    fields: dict[str, Any] = {}
    unreadable: list[str] = []
    for field in _FIELDS:
        try:
            fields[field.name] = msgspec.convert(value.get(field.encode_name), field.type)
        except (msgspec.ValidationError, UnicodeError):  # the latter for lone surrogates in a member's name
            unreadable.append(field.encode_name)
            fields[field.name] = _UNREADABLE.get(field.type)
    return _Record(**fields), tuple(unreadable)


def _make_key(id_: str, record: _Record, unreadable: tuple[str, ...]) -> ApiKey:
    creator = record.create_by or _Creator()
    owner_id = creator.id.lower() if isinstance(creator.id, str) else ""
    dates = {
        "createOn": _timestamp(record.create_on),
        "lastUsed": _timestamp(record.last_used),
        "expiresAt": _timestamp(record.expires_at),
    }
    created, last_used, expiry = (None if date is _Unreadable.DATE else date for date in dates.values())
    never_expires = dates["expiresAt"] is None
    bad_dates = [
        field for field, date in dates.items() if date is _Unreadable.DATE and field not in unreadable
    ]
    return ApiKey(
        id=id_,
        name=_clean(record.name or ""),
        postfix=_clean(record.key_postfix or ""),
        # DocSpace server 3.7: displayName arrives HTML-encoded, name does not.
        owner=_clean(html.unescape((creator.display_name or "")[: _ENCODED * TEXT_LIMIT])),
        owner_id=sys.intern(_clean(owner_id[:TEXT_LIMIT])),
        permissions=_read_permissions(record.permissions),
        created=created,
        expiry=math.inf if never_expires else expiry,
        last_used=last_used,
        active=record.is_active,
        malformed=(*unreadable, *bad_dates),
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
