"""Everything that can go wrong with a portal: which reason is counted, and that only one poll fails.

A table of all faults is printed at the end.
"""

import gzip
import ssl
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pytest
import trustme

from docspace_exporter import poller
from docspace_exporter.docspace.failures import Reason
from docspace_exporter.poller import PortalState
from tests.support.faulty_portal import (
    VALID_BODY,
    Behaviour,
    FaultyPortal,
    bomb,
    drip,
    hang,
    http,
    reset,
    respond,
    send,
    send_and_end,
    send_forever,
)
from tests.support.portals import SECRET, envelope, portal_at

LIMIT = 64 * 2**20
GZIP = {"Content_Encoding": "gzip"}
GZIP_TWICE = {"Content_Encoding": "gzip, gzip"}
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LONG_HEADERS = http(body=b"", Content_Length="100000", Padding="x" * 1000)
OVER_LIMIT = http(body=b"", Content_Length=str(LIMIT + 1))
HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"
PARTIAL_HANDSHAKE = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03"


class Fault(NamedTuple):
    """How a portal misbehaves, and the reason that is counted for it."""

    behave: Behaviour
    reason: Reason
    poll_timeout: float = 10.0
    scheme: str = "http"


FAULTS = {
    "status 401": Fault(respond(401, b'{"error":{"message":"Unauthorized"}}'), Reason.UNAUTHORIZED),
    "status 402": Fault(respond(402), Reason.PAYMENT_REQUIRED),
    "status 403": Fault(respond(403), Reason.FORBIDDEN),
    "status 404": Fault(respond(404), Reason.NOT_FOUND),
    "status 429": Fault(respond(429, Retry_After="1"), Reason.RATE_LIMITED),
    "status 500": Fault(respond(500), Reason.SERVER_ERROR),
    "status 502 as HTML": Fault(respond(502, HTML, Content_Type="text/html"), Reason.SERVER_ERROR),
    "status 503": Fault(respond(503), Reason.SERVER_ERROR),
    "status 599": Fault(respond(599), Reason.SERVER_ERROR),
    "status 301": Fault(respond(301, Location="https://acme.example/"), Reason.REDIRECT),
    "status 304": Fault(respond(304, b""), Reason.REDIRECT),
    "redirect to nowhere": Fault(respond(302, Location="http://["), Reason.REDIRECT),
    "redirect with gzip bomb": Fault(respond(302, bomb(80), Location="/", **GZIP), Reason.REDIRECT),
    "status 204": Fault(respond(204, b""), Reason.UNEXPECTED_STATUS),
    "status 101": Fault(send(b"HTTP/1.1 101 Upgrade\r\n\r\n"), Reason.UNEXPECTED_STATUS),
    "status 206": Fault(respond(206), Reason.UNEXPECTED_STATUS),
    "status 418": Fault(respond(418), Reason.UNEXPECTED_STATUS),
    "status 999": Fault(respond(999), Reason.UNEXPECTED_STATUS),
    "status 401, truncated": Fault(send_and_end(http(401, b"x", Content_Length="9")), Reason.UNAUTHORIZED),
    "status 500, slow body": Fault(
        drip(b"x" * 1000, http(500, b"", Content_Length="1000")), Reason.SERVER_ERROR
    ),
    "no response": Fault(hang, Reason.TIMEOUT, 0.5),
    "no body": Fault(drip(b"", LONG_HEADERS), Reason.TIMEOUT, 0.5),
    "no handshake": Fault(hang, Reason.TIMEOUT, 0.5, "https"),
    "slow headers": Fault(drip(LONG_HEADERS), Reason.TIMEOUT, 0.5),
    "slow body": Fault(drip(b" " * 1000, LONG_HEADERS), Reason.TIMEOUT, 0.5),
    "slow handshake": Fault(drip(b" " * 1000, PARTIAL_HANDSHAKE), Reason.TIMEOUT, 0.5, "https"),
    "slow chunks": Fault(drip(b"1\r\n \r\n" * 100, CHUNKED), Reason.TIMEOUT, 0.5),
    "endless status 100": Fault(send_forever(b"", b"HTTP/1.1 100 Go on\r\n\r\n"), Reason.TIMEOUT, 0.5),
    "endless status 103": Fault(send_forever(b"", b"HTTP/1.1 103 Hint\r\nA: b\r\n\r\n"), Reason.TIMEOUT, 0.5),
    "endless headers of 103": Fault(
        send_forever(b"HTTP/1.1 103 Hint\r\n", b"A: %b\r\n" % (b"a" * 2**16)), Reason.TOO_LARGE
    ),
    "slow status 100": Fault(drip(b"HTTP/1.1 100 Go on\r\n\r\n" * 50), Reason.TIMEOUT, 0.5),
    "endless trailers": Fault(send_forever(CHUNKED + b"0\r\n", b"a: b\r\n"), Reason.TIMEOUT, 0.5),
    "closed port": Fault(hang, Reason.CONNECTION, scheme="closed"),
    "connection reset": Fault(reset, Reason.CONNECTION),
    "reset in the handshake": Fault(reset, Reason.CONNECTION, scheme="https"),
    "closed after status 100": Fault(send_and_end(b"HTTP/1.1 100 Go on\r\n\r\n"), Reason.CONNECTION),
    "closed, no response": Fault(send_and_end(b""), Reason.CONNECTION),
    "closed in the headers": Fault(send_and_end(b"HTTP/1.1 200 OK\r\nContent-"), Reason.INVALID_RESPONSE),
    "closed in the body": Fault(send_and_end(http()[:-9]), Reason.CONNECTION),
    "closed in a chunk": Fault(send_and_end(CHUNKED + b"ff\r\nx"), Reason.CONNECTION),
    "closed in the handshake": Fault(send_and_end(b""), Reason.CONNECTION, scheme="https"),
    "untrusted certificate": Fault(respond(), Reason.TLS, scheme="tls"),
    "not TLS": Fault(send_and_end(http(400)), Reason.TLS, scheme="https"),
    "not HTTP": Fault(send_and_end(b"SSH-2.0-OpenSSH_9.2\r\n"), Reason.INVALID_RESPONSE),
    "endless header": Fault(send_forever(b"HTTP/1.1 200 OK\r\nA: ", b"a" * 9999), Reason.INVALID_RESPONSE),
    "endless headers": Fault(send_forever(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"), Reason.INVALID_RESPONSE),
    "invalid chunk": Fault(send(CHUNKED + b"zzz\r\n"), Reason.INVALID_RESPONSE),
    "over 64 MiB": Fault(
        send_forever(http(body=b"", Content_Length=str(LIMIT + 1)), b" " * 2**16), Reason.TOO_LARGE
    ),
    "chunk of -1 bytes": Fault(send_forever(CHUNKED + b"-1\r\n", b" " * 2**16), Reason.TOO_LARGE),
    "gzip bomb": Fault(respond(body=bomb(80), **GZIP), Reason.TOO_LARGE),
    "gzip of gzip": Fault(respond(body=gzip.compress(bomb(80)), **GZIP_TWICE), Reason.TOO_LARGE),
    "invalid gzip": Fault(respond(body=b"not gzip", **GZIP), Reason.INVALID_RESPONSE),
    "truncated gzip": Fault(respond(body=gzip.compress(VALID_BODY)[:-20], **GZIP), Reason.INVALID_RESPONSE),
    "unknown compression": Fault(respond(body=b"\0\1\2", Content_Encoding="br"), Reason.INVALID_RESPONSE),
    "truncated JSON": Fault(respond(body=VALID_BODY[:-9]), Reason.INVALID_RESPONSE),
    "HTML": Fault(respond(body=HTML, Content_Type="text/html"), Reason.INVALID_RESPONSE),
    "empty body": Fault(respond(body=b""), Reason.INVALID_RESPONSE),
    "response null": Fault(respond(body=envelope(None)), Reason.INVALID_RESPONSE),
    "response an object": Fault(respond(body=envelope({})), Reason.INVALID_RESPONSE),
    "nested lists": Fault(respond(body=envelope([[[[[]]]]])), Reason.INVALID_RESPONSE),
    "no record with an id": Fault(respond(body=envelope([{}, {"id": 5}])), Reason.INVALID_RESPONSE),
    "nested too deeply": Fault(respond(body=b"[" * 2**20), Reason.INVALID_RESPONSE),
}


@pytest.fixture(scope="module")
def untrusted() -> ssl.SSLContext:
    """A certificate from an authority that is not trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def table(pytestconfig: pytest.Config) -> Iterator[list[tuple[str, str, str, str]]]:
    """The rows of the table that is printed at the end of the module."""
    rows = [("fault", "reason counted", "keys kept", "recovered")]
    yield rows
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        for row in rows:
            print("\n{:<24} {:<18} {:<10} {}".format(*row), end="")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_counted_by_reason_and_the_next_poll_succeeds(
    name: str, untrusted: ssl.SSLContext, table: list[tuple[str, str, str, str]]
) -> None:
    fault = FAULTS[name]
    with (
        FaultyPortal(respond()) as healthy,
        FaultyPortal(fault.behave, untrusted if fault.scheme == "tls" else None) as faulty,
    ):
        if fault.scheme == "closed":
            faulty.close()
        url = faulty.url.replace("http:", "https:") if fault.scheme == "https" else faulty.url
        before = poller.poll(PortalState(portal_at(healthy.url)))
        state = poller.poll(at(before, portal_at(url, poll_timeout=fault.poll_timeout)))
        recovered = poller.poll(at(state, portal_at(healthy.url)))
    assert before.snapshot is not None
    assert state.failure is not None
    assert (state.up, state.failure.reason) == (False, fault.reason)
    assert [reason for reason, count in state.failures.items() if count] == [fault.reason]
    # Generous for slow machines; without its deadline a poll would take far longer.
    assert state.poll_seconds - before.poll_seconds < fault.poll_timeout + 5
    assert state.snapshot is before.snapshot
    assert SECRET not in state.failure.message
    assert state.failure.message.isprintable()
    assert "None" not in state.failure.message
    assert recovered.up
    assert recovered.snapshot is not None
    assert recovered.snapshot.keys == before.snapshot.keys
    table.append((name, fault.reason, "yes", "by the next poll"))


def at(state: PortalState, portal: object) -> PortalState:
    return msgspec.structs.replace(state, portal=portal)


@pytest.mark.parametrize(
    "behave",
    [
        respond(Content_Type="text/html"),
        respond(Content_Type=""),
        respond(body=gzip.compress(VALID_BODY), **GZIP),
        send_and_end(b"HTTP/1.0 200 OK\r\n\r\n" + VALID_BODY),
        send(CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(VALID_BODY), VALID_BODY)),
        send(b"HTTP/1.1 100 Go on\r\n\r\n" * 200 + http()),
        send(b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Hint\r\nLink: </a>\r\n\r\n" + http()),
    ],
    ids=["HTML type", "no type", "gzip", "no length", "chunked", "200 times 100", "102 and 103"],
)
def test_an_unusual_but_complete_response_is_accepted(behave: Behaviour) -> None:
    with FaultyPortal(behave) as portal:
        state = poller.poll(PortalState(portal_at(portal.url)))
    assert state.up
    assert state.snapshot is not None
    assert [key.name for key in state.snapshot.keys] == ["backup job"]


def test_a_response_of_64_mib_is_accepted() -> None:
    with FaultyPortal(respond(body=VALID_BODY + b" " * (LIMIT - len(VALID_BODY)))) as portal:
        assert poller.poll(PortalState(portal_at(portal.url))).up
