"""Reads and checks an API key. Errors never quote it."""

import codecs
import re
from pathlib import Path

from docspace_exporter import files

_API_KEY = re.compile(r"[\x21-\x7e]+")
_MASKED_KEY = re.compile(r"sk-\*+.*")
_API_KEY_FILE_SIZE = 8192
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class KeyUnreadableError(Exception):
    """The API key cannot be read; the message says why and quotes nothing of it."""


def key_error(key: str) -> str | None:
    """Return what is wrong with a key, without quoting it; None if nothing is."""
    if not key:
        return "is empty: expected the portal's API key"
    if re.search(r"\s", key):
        return "contains white space: expected only the key, on one line, without Bearer"
    if not _API_KEY.fullmatch(key):
        return "contains characters other than printable ASCII: copy the key again"
    if _MASKED_KEY.fullmatch(key):
        return "is a masked key: the portal shows a key in full only once, so create another"
    return None


def read_key_file(path: Path) -> str:
    """Return the API key in a file; raises KeyUnreadableError."""
    try:
        content = files.read(path)
    except OSError as error:
        raise KeyUnreadableError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > _API_KEY_FILE_SIZE:
        raise KeyUnreadableError(
            f"{path} is larger than {_API_KEY_FILE_SIZE} bytes: expected only the API key"
        )
    if content.startswith(_UTF16):
        raise KeyUnreadableError(f"{path} is UTF-16: save it as plain text")
    key = content.removeprefix(codecs.BOM_UTF8).decode("latin-1").strip()
    if problem := key_error(key):
        raise KeyUnreadableError(f"{path} {problem}")
    return key
