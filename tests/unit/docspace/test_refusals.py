"""Responses with a status other than 200: the reason that is counted, and the cause that the message names.

A table of all responses is printed at the end.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from docspace_exporter.docspace.failures import Reason
from tests.support.faulty_portal import FaultyPortal, respond
from tests.support.portals import failure_at, portal_at

EMPTY: Mapping[str, str] = {"Content_Type": ""}
JSON = {"Content_Type": "application/json; charset=utf-8"}
PROBLEM = {"Content_Type": "application/problem+json"}
HTML = {"Content_Type": "text/html; charset=utf-8"}

PAGE = "{url}/developer-tools/api-keys"
IN_FRONT = "a server in front of the portal"
NEVER_THE_KEY = ("API key", "*:read", "developer-tools")


class Refusal(NamedTuple):
    """A response, and how it is reported."""

    status: int
    headers: Mapping[str, str]
    reason: Reason
    cause: str
    """What the message names as the cause."""
    expected: tuple[str, ...]
    """What the message contains."""
    unexpected: tuple[str, ...] = ()
    """What the message does not contain."""


REFUSALS = {
    "key or its owner": Refusal(
        401,
        EMPTY,
        Reason.UNAUTHORIZED,
        "the key or its owner",
        ("rejected the API key", "expired", "its owner was disabled or removed", PAGE),
        (IN_FRONT,),
    ),
    "login page in front": Refusal(
        401,
        {**HTML, "WWW_Authenticate": 'Basic realm="x"'},
        Reason.UNAUTHORIZED,
        "a server in front",
        (IN_FRONT, "user name and password"),
        NEVER_THE_KEY,
    ),
    "login in front, no body": Refusal(
        401,
        {**EMPTY, "WWW_Authenticate": "basic"},
        Reason.UNAUTHORIZED,
        "a server in front",
        (IN_FRONT, "user name and password"),
        NEVER_THE_KEY,
    ),
    "error page in front, 401": Refusal(
        401, HTML, Reason.UNAUTHORIZED, "a server in front", (IN_FRONT,), NEVER_THE_KEY
    ),
    "subscription expired": Refusal(
        402,
        PROBLEM,
        Reason.PAYMENT_REQUIRED,
        "the subscription",
        ("subscription has expired",),
        NEVER_THE_KEY,
    ),
    "scope, or portal restored": Refusal(
        403,
        EMPTY,
        Reason.FORBIDDEN,
        "the key's scope, or the portal's state",
        ("lacks the scope *:read", "restored, moved or encrypted", PAGE),
        ("allowed IP", IN_FRONT),
    ),
    "IP address, or guest": Refusal(
        403,
        JSON,
        Reason.FORBIDDEN,
        "the exporter's address, or a guest's key",
        ("list of allowed IP addresses", "the key is a guest's", PAGE),
        ("*:read", IN_FRONT),
    ),
    "error page in front, 403": Refusal(
        403, HTML, Reason.FORBIDDEN, "a server in front", (IN_FRONT,), NEVER_THE_KEY
    ),
    "Cloudflare challenge": Refusal(
        403,
        {**HTML, "cf_mitigated": "challenge"},
        Reason.FORBIDDEN,
        "Cloudflare",
        ("Cloudflare in front of the portal",),
        NEVER_THE_KEY,
    ),
    "portal suspended": Refusal(
        404,
        PROBLEM,
        Reason.NOT_FOUND,
        "url, or the portal's state",
        ("no such portal, or it is suspended: check url",),
        NEVER_THE_KEY,
    ),
    "error page in front, 404": Refusal(
        404, HTML, Reason.NOT_FOUND, "a server in front", (IN_FRONT,), NEVER_THE_KEY
    ),
    "proxy password": Refusal(
        407,
        {**HTML, "Proxy_Authenticate": "Basic"},
        Reason.UNEXPECTED_STATUS,
        "the proxy's password",
        ("the proxy requires a valid user name and password",),
        NEVER_THE_KEY,
    ),
    "too many requests": Refusal(
        429,
        EMPTY,
        Reason.RATE_LIMITED,
        "poll_interval",
        ("increase poll_interval",),
        (*NEVER_THE_KEY, IN_FRONT),
    ),
    "Cloudflare rate limit": Refusal(
        429, HTML, Reason.RATE_LIMITED, "a server in front", (IN_FRONT,), NEVER_THE_KEY
    ),
    "unknown host name": Refusal(
        500,
        JSON,
        Reason.SERVER_ERROR,
        "url, or the portal",
        ("does not know the host name in url", "the portal's own logs"),
        NEVER_THE_KEY,
    ),
    "portal unavailable": Refusal(
        503,
        JSON,
        Reason.SERVER_ERROR,
        "the portal",
        ("the portal is unavailable",),
        (*NEVER_THE_KEY, IN_FRONT),
    ),
    "bad gateway": Refusal(502, HTML, Reason.SERVER_ERROR, "a server in front", (IN_FRONT,), NEVER_THE_KEY),
    "Cloudflare, origin down": Refusal(
        522, HTML, Reason.SERVER_ERROR, "a server in front", (IN_FRONT,), NEVER_THE_KEY
    ),
    "redirect": Refusal(
        302,
        {**HTML, "Location": "https://login.example/"},
        Reason.REDIRECT,
        "url",
        ("redirects to https://login.example", "the configured url only"),
        ("*:read",),
    ),
    "not DocSpace": Refusal(
        418, JSON, Reason.UNEXPECTED_STATUS, "url", ("check that url is a DocSpace portal",), NEVER_THE_KEY
    ),
}


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> Iterator[list[tuple[str, ...]]]:
    """The rows of the table that is printed at the end of the module."""
    rows: list[tuple[str, ...]] = [("response", "reason", "cause", "message")]
    yield rows
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        for row in rows:
            print("\n{:<30} {:<18} {:<40} {}".format(*row), end="")


@pytest.mark.parametrize("name", REFUSALS)
def test_a_rejected_request_is_reported_with_its_cause(name: str, table: list[tuple[str, ...]]) -> None:
    refusal = REFUSALS[name]
    with FaultyPortal(respond(refusal.status, b"", **refusal.headers)) as portal:
        failure = failure_at(portal_at(portal.url))
    assert failure.reason is refusal.reason
    assert failure.message.startswith(f"status {refusal.status}")
    for text in refusal.expected:
        assert text.format(url=portal.url) in failure.message
    for text in refusal.unexpected:
        assert text not in failure.message
    message = failure.message.replace(portal.url, "<portal>")
    table.append((f"{refusal.status} {name}", failure.reason, refusal.cause, message))
