"""Secrets to plant, and a search for them in any output."""

import base64
import html
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

CANARY = "c4nary0s3cret"
KEY = f"sk-{CANARY * 5}"
"""An API key, about as long as a real one."""
PASSWORD = "c4nary+p4ss/word"

SECRETS = (CANARY, PASSWORD)


def leaks(output: str, secrets: Iterable[str] = SECRETS) -> list[str]:
    """Return the encodings of secrets that the output contains, ignoring case."""
    encodings = {encoded for secret in secrets for encoded in _encodings(secret)}
    return sorted(encoded for encoded in encodings if encoded.lower() in output.lower())


def _encodings(secret: str) -> Iterator[str]:
    yield from (
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        html.escape(secret),
        json.dumps(secret)[1:-1],
    )
    yield secret.encode().hex()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + secret.encode()).decode().rstrip("=")
        # The first and the last character depend on what surrounds the secret.
        yield encoded[before + 1 : -1]
