"""Requests that no well-behaved client sends: none gets a wrong response, keeps a socket, or is logged."""

import contextlib
import logging
import re
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from docspace_exporter.web import connection, status_page
from docspace_exporter.web.options import WebOptions
from tests.support.processes import exporter, wait_for
from tests.support.serving import GatedExposition, serving

Address = tuple[str, int]

HOST = b"Host: exporter\r\n"
CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n\r\n"
MANY_CHUNKS = b"1\r\nx\r\n" * 50
UPGRADE = b"GET /metrics HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: "
HALF = b"GET /metrics HTTP/1.1\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with serving(GatedExposition(), WebOptions(enable_lifecycle=True)) as address:
        yield address


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let the test fail where something is logged that an operator would look at."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def exchange(address: Address, sent: bytes, *, end: bool = True) -> bytes:
    """Return all that the server responses to these bytes before it ends the connection."""
    with socket.create_connection(address, timeout=10) as client:
        received = bytearray()
        with contextlib.suppress(ConnectionError):
            client.sendall(sent)
            if end:
                client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65536):
                received += piece
        return bytes(received)


def statuses(responses: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", responses)]


def request(head: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [head, "Host: exporter", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "sent",
    [
        PREFACE,
        PREFACE + SETTINGS,
        UPGRADE + b"h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        UPGRADE + b"h2c\r\nHTTP2-Settings: !\r\n\r\n",
        UPGRADE + b"websocket\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\n" + CHUNKED + MANY_CHUNKS,
        b"POST /metrics HTTP/1.1\r\n" + CHUNKED + MANY_CHUNKS + b"0\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n" + CHUNKED + MANY_CHUNKS,
        b"POST /-/reload HTTP/1.1\r\n" + HOST + b"Content-Length: 100\r\n\r\nx",
    ],
    ids=[
        "HTTP/2 preface only",
        "HTTP/2 preface and settings",
        "h2c",
        "h2c with broken settings",
        "WebSocket without a key",
        "body without end",
        "body of many chunks",
        "GET with a body without end",
        "body that never comes",
    ],
)
def test_no_connection_is_kept_open_for_long(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_DEADLINE", 0.3)
    monkeypatch.setattr(connection, "RESPONSE_DEADLINE", 0.3)
    with serving(GatedExposition(), WebOptions(enable_lifecycle=True)) as address:
        exchange(address, sent, end=False)


def open_sockets() -> int:
    return sum(file.is_socket() for file in Path("/proc/self/fd").iterdir())


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "sent",
    [
        HALF,
        b"GET /metrics HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /metrics HTTP/1.1\r\n" + CHUNKED + MANY_CHUNKS,
        UPGRADE + b"websocket\r\n\r\n",
        PREFACE,
    ],
    ids=["half a request", "a request", "body without end", "WebSocket without a key", "HTTP/2 preface only"],
)
def test_a_connection_closed_by_its_client_is_released_at_once(sent: bytes) -> None:
    with serving(GatedExposition()) as address:
        before = open_sockets()
        for _ in range(3):
            with socket.create_connection(address, timeout=10) as client:
                client.sendall(sent)
                if sent not in {HALF, PREFACE}:
                    assert client.recv(65536)
        assert statuses(exchange(address, request("GET /metrics HTTP/1.1"))) == [200]
        wait_for(lambda: open_sockets() <= before, "the sockets given back", timeout=5)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: -1",
        "Content-Length: 9999999999999999999999",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding : chunked",
        "Host: another",
        "X: a\0b",
        "X",
    ],
)
def test_an_ambiguous_request_is_rejected_and_the_connection_closed(address: Address, head: str) -> None:
    smuggled = request("GET /metrics HTTP/1.1")
    responses = exchange(address, request("POST /-/healthy HTTP/1.1", head, body=smuggled))
    assert [status // 100 for status in statuses(responses)] in ([4], [5])
    assert b"#########" not in responses


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("line", "headers", "expected"),
    [
        ("GET /metrics HTTP/1.0", [], 200),
        ("GET /metrics HTTP/1.1", ["Range: bytes=0-3"], 200),
        ("GET /metrics HTTP/1.1", ["Expect: 200-maybe"], 200),
        (
            "GET /metrics HTTP/1.1",
            ["Accept: application/openmetrics-text;version=x;q=y,;;,=" + "a/b," * 3000],
            200,
        ),
        ("GET /metrics HTTP/1.1", ["Accept-Encoding: gzip;q=,;;\xff" + "gzip;q=0," * 1000], 200),
        ("GET /metrics HTTP/1.1", [f"X-{number}: y" for number in range(1000)], 200),
        ("GET /-/static/status.css HTTP/1.1", ["Range: bytes=0-1,3-4,999999-"], 200),
        ("GET /?filter=%ff%00%ed%a0%80%zz HTTP/1.1", [], 200),
        ("GET /?filter=" + "%22" * 5000 + " HTTP/1.1", [], 200),
        ("GET /?" + "&" * 15000 + " HTTP/1.1", [], 200),
        ("GET /%ff%fe%zz HTTP/1.1", [], 404),
        ("GET http://another/metrics HTTP/1.1", [], 200),
        ("OPTIONS * HTTP/1.1", [], 404),
        ("CONNECT another:80 HTTP/1.1", [], 404),
        ("BREW /metrics HTTP/1.1", [], 405),
        ("GET /\xff HTTP/1.1", [], 400),
        ("GET /?filter=" + "a" * 5 * connection.HEAD_LIMIT + " HTTP/1.1", [], 431),
        ("GET /metrics", [], 400),
        ("\x16\x03\x01", [], 400),
    ],
)
def test_an_unusual_request_gets_the_expected_response(
    address: Address, line: str, headers: list[str], expected: int
) -> None:
    assert statuses(exchange(address, request(line, *headers), end=False)) == [expected]


@pytest.mark.usefixtures("quiet")
def test_a_client_that_expects_100_continue_gets_it(address: Address) -> None:
    sent = request("POST /-/reload HTTP/1.1", "Expect: 100-continue", "Content-Length: 5")
    assert statuses(exchange(address, sent, end=False)) == [100, 200]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("size", [0, 5, connection.BODY_LIMIT - 70_000])
def test_a_connection_is_kept_after_a_body_that_nobody_needs(address: Address, size: int) -> None:
    head = b"POST /-/reload HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size
    responses = exchange(address, (head + b"x" * size) * 2 + request("GET /metrics HTTP/1.1"), end=False)
    assert statuses(responses) == [200, 200, 200]


@pytest.mark.usefixtures("quiet")
def test_a_client_gets_its_response_however_long_its_body_is(address: Address) -> None:
    size = 50 * connection.BODY_LIMIT  # more than the buffers of sockets take
    head = b"POST /-/reload HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size
    responses = exchange(address, head + b"x" * size + request("GET /metrics HTTP/1.1"), end=False)
    assert statuses(responses) == [200]


@pytest.mark.usefixtures("quiet")
def test_pipelined_requests_are_served_in_order(address: Address) -> None:
    kept = b"HEAD /-/healthy HTTP/1.1\r\n" + HOST + b"\r\n" + b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n"
    responses = exchange(address, kept * 20 + request("GET /metrics HTTP/1.1"), end=False)
    assert statuses(responses) == [200, 404] * 20 + [200]


@pytest.mark.usefixtures("quiet")
@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    b"GET ",
                    b"POST ",
                    b"/",
                    b"/metrics",
                    b" HTTP/1.1",
                    b"\r\n",
                    b"\r\n\r\n",
                    b"Host: x",
                    b": ",
                ),
                *(b"Content-Length: ", b"5", b"Transfer-Encoding: chunked", b"Expect: 100-continue", CHUNKED),
                *(b"Connection: upgrade", b"Upgrade: ", b"websocket", b"h2c", PREFACE, SETTINGS),
            ]
        )
        | st.binary(max_size=20),
        max_size=20,
    )
)
def test_no_bytes_cause_an_internal_error(address: Address, parts: list[bytes]) -> None:
    assert 500 not in statuses(exchange(address, b"".join(parts)))


def test_a_flood_of_status_pages_delays_no_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()
    working = threading.Semaphore(0)

    def render(*_: object) -> str:
        working.release()
        assert may_end.wait(10)
        return "a page"

    monkeypatch.setattr(status_page, "render", render)
    with serving(GatedExposition()) as (host, port), ThreadPoolExecutor(30) as clients:
        url = f"http://{host}:{port}"
        pages = [clients.submit(requests.get, url, timeout=10) for _ in range(30)]
        assert working.acquire(timeout=10)
        wait_for(lambda: any(page.done() for page in pages), "a rejected page")
        assert requests.get(f"{url}/metrics", timeout=10).status_code == 200
        may_end.set()
        responses = [page.result() for page in pages]
    assert {response.status_code for response in responses} == {200, 503}
    assert {response.headers.get("Retry-After") for response in responses if response.status_code == 503} == {
        "1"
    }


def test_more_clients_than_the_initial_limit_on_files_block_nobody(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        running = exporter(tmp_path, "--demo")
        program = running.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with contextlib.ExitStack() as stack:
        stack.push(running.__exit__)
        address = ("127.0.0.1", int(program.url.rpartition(":")[2]))
        for _ in range(200):
            stack.enter_context(socket.create_connection(address, timeout=10))
        assert program.responds("/metrics")
