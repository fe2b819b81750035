"""Responses other than 200: the reason that is counted, and whom the message blames.

The table of all of them is printed at the end.
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
    """A response, and what is reported of it."""

    status: int
    headers: Mapping[str, str]
    reason: Reason
    blames: str
    """Who or what the message names as the cause."""
    says: tuple[str, ...]
    """What the message contains."""
    spares: tuple[str, ...] = ()
    """What the message does not contain."""


REFUSALS = {
    "key, or its owner": Refusal(
        401,
        EMPTY,
        Reason.UNAUTHORIZED,
        "the key or its owner",
        ("rejected the API key", "expired", "its owner was disabled or removed", PAGE),
        (IN_FRONT,),
    ),
    "login in front": Refusal(
        401,
        {**HTML, "WWW_Authenticate": 'Basic realm="x"'},
        Reason.UNAUTHORIZED,
        "a server in front",
        (IN_FRONT, "user name and password"),
        NEVER_THE_KEY,
    ),
    "login in front, no page": Refusal(
        401,
        {**EMPTY, "WWW_Authenticate": "basic"},
        Reason.UNAUTHORIZED,
        "a server in front",
        (IN_FRONT, "user name and password"),
        NEVER_THE_KEY,
    ),
    "page of a proxy, 401": Refusal(
        401, HTML, Reason.UNAUTHORIZED, "a server in front", (IN_FRONT,), NEVER_THE_KEY
    ),
    "unpaid": Refusal(
        402,
        PROBLEM,
        Reason.PAYMENT_REQUIRED,
        "the subscription",
        ("subscription has expired",),
        NEVER_THE_KEY,
    ),
    "scope, or being restored": Refusal(
        403,
        EMPTY,
        Reason.FORBIDDEN,
        "the key's scope, or the portal's state",
        ("lacks the scope *:read", "restored, moved or encrypted", PAGE),
        ("allowed IP", IN_FRONT),
    ),
    "address, or a guest": Refusal(
        403,
        JSON,
        Reason.FORBIDDEN,
        "the exporter's address, or a guest's key",
        ("list of allowed IP addresses", "the key is a guest's", PAGE),
        ("*:read", IN_FRONT),
    ),
    "page of a proxy, 403": Refusal(
        403, HTML, Reason.FORBIDDEN, "a server in front", (IN_FRONT,), NEVER_THE_KEY
    ),
    "Cloudflare's challenge": Refusal(
        403,
        {**HTML, "cf_mitigated": "challenge"},
        Reason.FORBIDDEN,
        "Cloudflare",
        ("Cloudflare in front of the portal",),
        NEVER_THE_KEY,
    ),
    "suspended": Refusal(
        404,
        PROBLEM,
        Reason.NOT_FOUND,
        "url, or the portal's state",
        ("no such portal, or it is suspended: check url",),
        NEVER_THE_KEY,
    ),
    "page of a proxy, 404": Refusal(
        404, HTML, Reason.NOT_FOUND, "a server in front", (IN_FRONT,), NEVER_THE_KEY
    ),
    "password of a proxy": Refusal(
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
    "Cloudflare's limit": Refusal(
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
    "error of the portal": Refusal(
        503,
        JSON,
        Reason.SERVER_ERROR,
        "the portal",
        ("the portal is unavailable",),
        (*NEVER_THE_KEY, IN_FRONT),
    ),
    "openresty without its portal": Refusal(
        502, HTML, Reason.SERVER_ERROR, "a server in front", (IN_FRONT,), NEVER_THE_KEY
    ),
    "Cloudflare without its origin": Refusal(
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
    """Rows of the table that is printed at the end of the module."""
    rows: list[tuple[str, ...]] = [("response", "reason", "blamed", "message")]
    yield rows
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        for row in rows:
            print("\n{:<30} {:<18} {:<40} {}".format(*row), end="")


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_blames_its_cause(name: str, table: list[tuple[str, ...]]) -> None:
    refusal = REFUSALS[name]
    with FaultyPortal(respond(refusal.status, b"", **refusal.headers)) as portal:
        failure = failure_at(portal_at(portal.url))
    assert failure.reason is refusal.reason
    assert failure.message.startswith(f"status {refusal.status}")
    for text in refusal.says:
        assert text.format(url=portal.url) in failure.message
    for text in refusal.spares:
        assert text not in failure.message
    message = failure.message.replace(portal.url, "<portal>")
    table.append((f"{refusal.status} {name}", failure.reason, refusal.blames, message))
