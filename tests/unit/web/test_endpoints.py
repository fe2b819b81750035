"""The endpoints on real sockets, and their limits on clients."""

import asyncio
import contextlib
import http.client
import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from starlette.types import ASGIApp

from docspace_exporter.web import connection, server
from docspace_exporter.web.options import WebOptions
from tests.support.serving import FailingExposition, GatedExposition, serving

LARGE = 20_000_000
"""Bytes that no socket buffer swallows."""


def get(address: tuple[str, int], path: str, method: str = "GET", **headers: str) -> requests.Response:
    headers = {"Accept-Encoding": "identity", **headers}
    return requests.request(method, f"http://{address[0]}:{address[1]}{path}", headers=headers, timeout=10)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with serving(GatedExposition()) as address:
        yield address


def test_head_responds_like_get_without_a_body(address: tuple[str, int]) -> None:
    by_get, by_head = get(address, "/metrics"), get(address, "/metrics", "HEAD")
    assert by_head.status_code == by_get.status_code == 200
    assert by_head.headers["Content-Length"] == str(len(by_get.content))
    assert by_head.content == b""


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/-/ready"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_405_with_allow(address: tuple[str, int], path: str, method: str) -> None:
    received = get(address, path, method)
    assert received.status_code == 405
    assert set(received.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path",
    ["/metrics/", "/metric", "//metrics", "/-/", "/-/static/", "/-/static/../web.py", "/%00", "/..%2f"],
)
def test_other_paths_are_404(address: tuple[str, int], path: str) -> None:
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


def test_gzip_is_used_if_it_is_accepted(address: tuple[str, int]) -> None:
    assert "Content-Encoding" not in get(address, "/metrics").headers
    assert (
        get(address, "/metrics", **{"Accept-Encoding": "br, gzip;q=0.5"}).headers["Content-Encoding"]
        == "gzip"
    )


def test_the_content_type_is_that_of_the_format_asked_for(address: tuple[str, int]) -> None:
    openmetrics = get(
        address, "/metrics", Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    )
    assert openmetrics.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert get(address, "/metrics").headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_a_header_may_have_several_lines(address: tuple[str, int]) -> None:
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.putrequest("GET", "/metrics", skip_accept_encoding=True)
    for name, values in {
        "Accept": ("text/plain;q=0.5", "application/openmetrics-text"),
        "Accept-Encoding": ("br", "gzip"),
    }.items():
        for value in values:
            connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("application/openmetrics-text;")
    assert response.headers["Content-Encoding"] == "gzip"
    connection.close()


def test_reload_is_forbidden_unless_enabled(address: tuple[str, int]) -> None:
    received = get(address, "/-/reload", "POST")
    assert received.status_code == 403
    assert "--web.enable-lifecycle" in received.text


def test_reload_returns_the_errors_in_the_configuration() -> None:
    errors = [["a: is wrong", "b: is wrong"], []]
    with serving(GatedExposition(), WebOptions(enable_lifecycle=True), lambda: errors.pop(0)) as address:
        first, second = get(address, "/-/reload", "POST"), get(address, "/-/reload", "POST")
        assert (first.status_code, first.text) == (500, "a: is wrong\nb: is wrong\n")
        assert second.status_code == 200
        assert get(address, "/-/reload").status_code == 405


OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}


def test_one_rendering_too_many_gets_503_and_the_others_their_response() -> None:
    exposition = GatedExposition()
    exposition.may_end.clear()
    with serving(exposition, WebOptions(max_requests=2)) as address, ThreadPoolExecutor(2) as clients:
        text = clients.submit(get, address, "/metrics")
        compressed = clients.submit(get, address, "/metrics", **{"Accept-Encoding": "gzip"})
        for _ in range(2):
            assert exposition.rendering.acquire(timeout=10)
        rejected = get(address, "/metrics", **OPENMETRICS)
        exposition.may_end.set()
        assert rejected.status_code == 503
        assert [text.result().status_code, compressed.result().status_code] == [200, 200]
        assert get(address, "/metrics").status_code == 200


def test_requests_share_the_rendering_in_progress_and_count_as_one() -> None:
    exposition = GatedExposition()
    exposition.may_end.clear()
    with serving(exposition, WebOptions(max_requests=1)) as address, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(100)]
        for client in clients:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n")
        assert exposition.rendering.acquire(timeout=10)
        clients[0].close()  # this ends nothing for the others
        # What comes after them has been read after them.
        assert get(address, "/-/healthy").status_code == 200
        exposition.may_end.set()
        responses = [read_all(client) for client in clients[1:]]
    assert all(response.startswith(b"HTTP/1.1 200") for response in responses)
    assert not exposition.rendering.acquire(blocking=False)


def test_no_limit_on_scrapes_when_it_is_0() -> None:
    with serving(GatedExposition(), WebOptions(max_requests=0)) as address:
        assert get(address, "/metrics").status_code == 200


@contextlib.contextmanager
def client_that_begins_to_read(address: tuple[str, int]) -> Iterator[socket.socket]:
    """Ask for the metrics, and read only the status."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(address)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        yield client


def test_clients_that_stop_reading_do_not_count_as_scrapes() -> None:
    with (
        serving(GatedExposition(LARGE), WebOptions(max_requests=1)) as address,
        contextlib.ExitStack() as slow,
    ):
        for _ in range(3):
            slow.enter_context(client_that_begins_to_read(address))
        received = get(address, "/metrics")
        assert (received.status_code, len(received.content)) == (200, LARGE)


def test_a_client_that_does_not_read_its_response_in_time_is_disconnected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "RESPONSE_DEADLINE", 0.3)
    with serving(GatedExposition(LARGE)) as address, client_that_begins_to_read(address) as client:
        time.sleep(0.6)
        assert len(read_all(client)) < LARGE


def test_a_client_that_disconnects_early_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with serving(GatedExposition(LARGE)) as address:
        for _ in range(5):
            with client_that_begins_to_read(address):
                pass
        assert get(address, "/metrics").status_code == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_client_that_reads_slowly_but_in_time_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_DEADLINE", 0.3)
    with serving(GatedExposition(LARGE)) as address, client_that_begins_to_read(address) as client:
        time.sleep(0.6)
        assert read_all(client, LARGE).endswith(b"\n")


def read_all(client: socket.socket, least: int = 0) -> bytes:
    """Return what comes until the connection ends, or `least` bytes and a head have come."""
    client.settimeout(10)
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while chunk := client.recv(2**20):
            received += chunk
            if least and len(received) > least:
                break
    return bytes(received)


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nHost: ", b"\x16\x03\x01"])
def test_a_client_that_does_not_complete_its_request_in_time_is_disconnected(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REQUEST_DEADLINE", 0.3)
    with serving(GatedExposition()) as address, socket.create_connection(address, timeout=10) as client:
        client.sendall(sent)
        assert b"200" not in read_all(client)


HTTP2_REQUEST = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # SETTINGS
    b"\x00\x00\x16\x01\x05\x00\x00\x00\x01"  # HEADERS of GET http /metrics exporter
    b"\x82\x86\x04\x08/metrics\x01\x08exporter"
)


def test_http2_is_rejected(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=5) as client:
        client.sendall(HTTP2_REQUEST)
        received = read_all(client)
    assert b"#########" not in received
    assert received.startswith(b"HTTP/1.1 505 ")


OFFERS = {
    "HTTP/2": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    "WebSocket": "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "anything": "Connection: upgrade\r\nUpgrade: TLS/1.2, foo/2\r\n",
}


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy"])
def test_an_offer_to_switch_protocols_is_ignored(address: tuple[str, int], offer: str, path: str) -> None:
    with socket.create_connection(address, timeout=5) as client:
        for _ in range(2):
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: exporter\r\n{OFFERS[offer]}\r\n".encode())
            response = http.client.HTTPResponse(client)
            response.begin()
            assert response.status == 200
            assert response.read()


@pytest.mark.parametrize("start", ["http://exporter:10059", "HTTP://exporter", "https://[::1]:1"])
@pytest.mark.parametrize(
    ("path", "status"),
    [("/metrics", 200), ("/metrics?x=/y", 200), ("", 200), ("?filter=x", 200), ("/", 200), ("/other", 404)],
)
def test_a_target_may_be_a_url(address: tuple[str, int], start: str, path: str, status: int) -> None:
    with socket.create_connection(address, timeout=5) as client:
        client.sendall(f"GET {start}{path} HTTP/1.1\r\nHost: exporter\r\nConnection: close\r\n\r\n".encode())
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == status
        assert (b"#########" in response.read()) == path.startswith("/metrics")


def test_endless_headers_are_rejected(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nX: " + b"x" * connection.HEAD_LIMIT * 2)
        assert not read_all(client).startswith(b"HTTP/1.1 200")
    assert get(address, "/metrics").status_code == 200


def test_a_scrape_that_fails_inside_is_one_500_and_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    with serving(FailingExposition()) as address:
        failed, next_one = get(address, "/metrics"), get(address, "/metrics")
    assert (failed.status_code, next_one.status_code) == (500, 200)
    errors = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.exc_info for record in errors] == [None]
    assert "sk-secret" not in caplog.text + failed.text


def test_the_metrics_can_be_at_another_path_even_the_root() -> None:
    with serving(GatedExposition(), WebOptions(telemetry_path="/keys", status_page=False)) as address:
        assert get(address, "/keys").status_code == 200
        assert get(address, "/metrics").status_code == 404
        assert 'href="./keys"' in get(address, "/").text
    with serving(GatedExposition(), WebOptions(telemetry_path="/", status_page=False)) as address:
        assert get(address, "/").text == "#########\n"


def test_without_the_status_page_the_root_only_links_to_the_metrics() -> None:
    with serving(GatedExposition(), WebOptions(status_page=False)) as address:
        assert get(address, "/").text.count("<a ") == 1
        assert get(address, "/-/static/status.js").status_code == 404


def test_a_thousand_small_scrapes_at_once_are_served_or_rejected(address: tuple[str, int]) -> None:
    with ThreadPoolExecutor(50) as clients:
        responses = list(clients.map(lambda _: get(address, "/metrics").status_code, range(1000)))
    assert set(responses) <= {200, 503}
    assert responses.count(200) > 0


def test_without_a_host_it_listens_on_ipv4_and_ipv6() -> None:
    with server.listen(":0") as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()


def test_a_port_in_use_is_reported() -> None:
    with (
        server.listen("127.0.0.1:0") as listener,
        pytest.raises(server.ListenError, match=r"Address already in use: change --web\.listen-address"),
    ):
        server.listen(f"127.0.0.1:{listener.getsockname()[1]}")


def test_responses_are_sent_without_nagles_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: list[int] = []

    class Observed(connection.Connection):
        def __init__(self, app: ASGIApp, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.append(
                writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            )
            super().__init__(app, reader, writer)

    monkeypatch.setattr(server, "Connection", Observed)
    with serving(GatedExposition()) as address:
        assert get(address, "/").status_code == 200
    assert accepted == [1]
