"""The disabled members of a portal, listed page by page."""

from collections.abc import Mapping
from typing import Any

from docspace_exporter.docspace.api import Api
from docspace_exporter.docspace.body import InvalidResponseError, check_size, read_document
from docspace_exporter.docspace.failures import PollError, Reason

MEMBERS_PATH = "/api/2.0/people/filter"

PAGE_SIZE = 100
"""Members per response; DocSpace server 3.7 allows no more."""

PAGE_LIMIT = 100

_DISABLED = 2
"""DocSpace server 3.7: EmployeeStatus.Terminated."""

_QUERY: Mapping[str, str | int] = {
    "employeeStatus": _DISABLED,
    # A unique field, so that pages neither overlap nor leave out a member.
    "sortBy": "email",
    "sortOrder": "ascending",
    "fields": "id,status",
    "count": PAGE_SIZE,
}


def disabled_members(api: Api) -> frozenset[str]:
    """Return the ids of all disabled members; raises PollError, also if the list is incomplete.

    DocSpace server 3.7: needs the scope `accounts:read` or a global one.
    """
    found: set[str] = set()
    for page in range(PAGE_LIMIT):
        body = api.get(MEMBERS_PATH, {**_QUERY, "startIndex": page * PAGE_SIZE})
        listed, total = _read_page(body)
        found |= listed
        if len(listed) < PAGE_SIZE:
            if total is None or total == len(found):
                return frozenset(found)
            break
    raise PollError(Reason.INVALID_RESPONSE, "the list of disabled members is incomplete")


def _read_page(body: bytes | bytearray) -> tuple[set[str], Any]:
    """Return the ids on a page, and the number of members on all pages; None if the portal does not say."""
    check_size(body)
    document = read_document(body)
    members = document.get("response")
    if not isinstance(members, list):
        raise InvalidResponseError("its 'response' is not a list")
    listed: set[str] = set()
    for member in members:
        id_ = member.get("id") if isinstance(member, dict) else None
        if not isinstance(id_, str) or member.get("status", _DISABLED) != _DISABLED:
            raise InvalidResponseError("it is not a list of disabled members")
        listed.add(id_.lower())
    return listed, document.get("total")
