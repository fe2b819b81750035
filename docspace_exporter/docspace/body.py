"""The body of a response as JSON, within limits."""

import json
import re
from typing import Any, TypeVar

T = TypeVar("T")

RECORD_LIMIT = 200_000
"""Most records in a response: 64 MiB hold no more real ones."""

_VALUE_LIMIT = 3_000_000
"""Most commas and opening brackets in a response, likewise. Each can take a hundred bytes of memory."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class InvalidResponseError(Exception):
    """The response as a whole cannot be read; the message says why and quotes nothing of it."""


def read_object(body: bytes | bytearray) -> dict[str, Any]:
    """Return the object in `response`; raises InvalidResponseError if there is none."""
    check_size(body)
    response = read_document(body).get("response")
    if not isinstance(response, dict):
        raise InvalidResponseError("its 'response' is not an object")
    return response


def check_size(body: bytes | bytearray) -> None:
    """Reject what would take gigabytes to decode, such as 64 MiB of `{},{},{}`, a few kB when compressed."""
    if _count_values(body) <= _VALUE_LIMIT:
        return
    in_strings = sum(_count_values(string[0]) for string in _STRING.finditer(body))
    if _count_values(body) - in_strings > _VALUE_LIMIT:
        raise InvalidResponseError(f"it has more than {_VALUE_LIMIT} values")


def _count_values(text: bytes | bytearray) -> int:
    return sum(text.count(separator) for separator in b"{[,")


def bounded(records: list[T]) -> list[T]:
    """Return the records; raises InvalidResponseError if they are too many to be real."""
    if len(records) > RECORD_LIMIT:
        raise InvalidResponseError(f"it has more than {RECORD_LIMIT} records")
    return records


def read_list(body: bytes | bytearray) -> list[Any]:
    """Return the list in `response`; raises InvalidResponseError if there is none."""
    check_size(body)
    response = read_document(body).get("response")
    if not isinstance(response, list):
        raise InvalidResponseError("its 'response' is not a list")
    return bounded(response)


def read_document(body: bytes | bytearray) -> dict[str, Any]:
    """Return the JSON object that a body holds, using the most tolerant decoder.

    msgspec rejects a document for one lone surrogate, which JSON allows; json rejects an integer of 5,000
    digits.
    """
    try:
        document = json.loads(body.decode("utf-8-sig", errors="replace"), parse_int=float)
    except (ValueError, RecursionError):
        raise InvalidResponseError("it is not JSON") from None
    if not isinstance(document, dict):
        raise InvalidResponseError("it is not a JSON object")
    return document
