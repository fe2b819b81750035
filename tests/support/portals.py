"""Portals to poll, and states to expose, for tests."""

import json
import time
from collections.abc import Mapping
from typing import Any

from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace import client
from docspace_exporter.docspace.failures import PollError
from docspace_exporter.docspace.model import ApiKey, Identity, Snapshot
from docspace_exporter.poller import PortalState

SECRET = "sk-0000000000000000000000000000000000000000000000000000000000cafe00"
"""An API key that no output may contain."""

RECORD: Mapping[str, Any] = {
    "id": "0b4b6e0c-4b2c-4f0e-9a57-1f8f1f3f7c11",
    "name": "backup job",
    "keyPostfix": "9f3a",
    "permissions": ["rooms:write", "files:read"],
    "lastUsed": "2026-11-22T08:15:30.1234567Z",
    "createOn": "2026-03-01T09:00:00.0000000Z",
    "createBy": {"id": "5a1f7f0e-0000-4000-8000-000000000001", "displayName": "Ann O&#39;Neil"},
    "expiresAt": "2026-12-01T00:00:00.0000000+03:00",
    "isActive": True,
}
"""One key as DocSpace sends it."""

ABSENT = object()


def envelope(response: Any, **others: Any) -> bytes:
    """Return the body of a response, wrapped as DocSpace does it."""
    return json.dumps({"response": response, "count": 1, "status": 0, "statusCode": 200, **others}).encode()


def record(**changes: Any) -> dict[str, Any]:
    """Return a key as DocSpace sends it, with some fields changed and ABSENT ones left out."""
    return {field: value for field, value in {**RECORD, **changes}.items() if value is not ABSENT}


def portal_at(url: str, **fields: Any) -> Portal:
    """Return a portal to poll, named `acme` by default."""
    return Portal(**{"name": "acme", "url": url, "api_key": SECRET, "poll_timeout": 10.0, **fields})


def failure_at(portal: Portal) -> PollError:
    """Return the error of a poll, which must fail within its timeout."""
    start = time.monotonic()
    try:
        client.poll(portal, None)
    except PollError as failure:
        # Generous for slow machines; without its deadline a poll would take far longer.
        assert time.monotonic() - start < portal.poll_timeout + 5
        return failure
    raise AssertionError("the poll did not fail")


def polled(*keys: ApiKey, portal: Portal | None = None, **fields: Any) -> PortalState:
    """Return the state of a portal after one successful poll that returned these keys."""
    state: dict[str, Any] = {"malformed": 0, "received": 1_790_000_000.0, "identity": Identity(b""), **fields}
    return PortalState(portal or portal_at("https://acme.example"), Snapshot(keys, **state), polls=1)
