"""The endpoints on real sockets, and their limits on clients."""

import contextlib
import http.client
import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from h2.connection import H2Connection
from starlette.types import Receive, Scope, Send

from docspace_exporter.web import middleware, server
from docspace_exporter.web.options import WebOptions
from tests.support.serving import FailingExposition, GatedExposition, in_thread, serving

LARGE = 20_000_000
"""Bytes that no socket buffer swallows."""


def get(address: tuple[str, int], path: str, method: str = "GET", **headers: str) -> requests.Response:
    headers = {"Accept-Encoding": "identity", **headers}
    return requests.request(method, f"http://{address[0]}:{address[1]}{path}", headers=headers, timeout=10)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with serving(GatedExposition()) as address:
        yield address


def test_head_answers_as_get_does_without_a_body(address: tuple[str, int]) -> None:
    by_get, by_head = get(address, "/metrics"), get(address, "/metrics", "HEAD")
    assert by_head.status_code == by_get.status_code == 200
    assert by_head.headers["Content-Length"] == str(len(by_get.content))
    assert by_head.content == b""


@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy", "/-/ready"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_405_with_allow(address: tuple[str, int], path: str, method: str) -> None:
    answer = get(address, path, method)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path",
    ["/metrics/", "/metric", "//metrics", "/-/", "/-/static/", "/-/static/../web.py", "/%00", "/..%2f"],
)
def test_other_paths_are_404(address: tuple[str, int], path: str) -> None:
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


def test_gzip_is_used_where_it_is_accepted(address: tuple[str, int]) -> None:
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


def test_reload_is_forbidden_unless_enabled(address: tuple[str, int]) -> None:
    answer = get(address, "/-/reload", "POST")
    assert answer.status_code == 403
    assert "--web.enable-lifecycle" in answer.text


def test_reload_tells_what_is_wrong_with_the_configuration() -> None:
    errors = [["a: is wrong", "b: is wrong"], []]
    with serving(GatedExposition(), WebOptions(enable_lifecycle=True), lambda: errors.pop(0)) as address:
        refused, taken = get(address, "/-/reload", "POST"), get(address, "/-/reload", "POST")
        assert (refused.status_code, refused.text) == (500, "a: is wrong\nb: is wrong\n")
        assert taken.status_code == 200
        assert get(address, "/-/reload").status_code == 405


def test_one_scrape_too_many_gets_503_and_the_others_their_answer() -> None:
    exposition = GatedExposition()
    exposition.may_end.clear()
    with serving(exposition, WebOptions(max_requests=2)) as address, ThreadPoolExecutor(2) as clients:
        working = [clients.submit(get, address, "/metrics") for _ in range(2)]
        for _ in working:
            assert exposition.rendering.acquire(timeout=10)
        refused = get(address, "/metrics")
        exposition.may_end.set()
        assert refused.status_code == 503
        assert [answer.result().status_code for answer in working] == [200, 200]
        assert get(address, "/metrics").status_code == 200


def test_no_limit_on_scrapes_when_it_is_0() -> None:
    with serving(GatedExposition(), WebOptions(max_requests=0)) as address:
        assert get(address, "/metrics").status_code == 200


@contextlib.contextmanager
def client_that_begins_to_read(address: tuple[str, int]) -> Iterator[socket.socket]:
    """Ask for the metrics, and read no more than that the answer is good."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(address)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        yield client


def test_clients_that_do_not_read_on_do_not_count_as_scrapes() -> None:
    with (
        serving(GatedExposition(LARGE), WebOptions(max_requests=1)) as address,
        contextlib.ExitStack() as slow,
    ):
        for _ in range(3):
            slow.enter_context(client_that_begins_to_read(address))
        answer = get(address, "/metrics")
        assert (answer.status_code, len(answer.content)) == (200, LARGE)


def test_a_client_that_does_not_take_its_answer_in_time_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "WRITE_DEADLINE", 0.3)
    with serving(GatedExposition(LARGE)) as address, client_that_begins_to_read(address) as client:
        time.sleep(0.6)
        assert len(read_all(client)) < LARGE


def test_a_client_that_goes_away_half_way_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with serving(GatedExposition(LARGE)) as address:
        for _ in range(5):
            with client_that_begins_to_read(address):
                pass
        assert get(address, "/metrics").status_code == 200
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_client_that_reads_slowly_but_in_time_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_DEADLINE", 0.3)
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
def test_a_request_that_is_not_whole_in_time_is_cut_off(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_DEADLINE", 0.3)
    with serving(GatedExposition()) as address, socket.create_connection(address, timeout=10) as client:
        client.sendall(sent)
        assert b"200" not in read_all(client)


def http2_request() -> bytes:
    connection = H2Connection()
    connection.initiate_connection()
    names = {":method": "GET", ":scheme": "http", ":path": "/metrics", ":authority": "exporter"}
    connection.send_headers(1, list(names.items()), end_stream=True)
    return connection.data_to_send()


WEBSOCKET_REQUEST = (
    b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.mark.parametrize("request_", [http2_request(), WEBSOCKET_REQUEST], ids=["HTTP/2", "WebSocket"])
def test_other_protocols_get_no_answer(address: tuple[str, int], request_: bytes) -> None:
    with socket.create_connection(address, timeout=5) as client:
        client.sendall(request_)
        answer = read_all(client)
    assert b"#########" not in answer
    assert not answer.startswith(b"HTTP/1.1")


def test_a_head_without_end_is_refused(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nX: " + b"x" * server.HEAD_LIMIT * 2)
        assert not read_all(client).startswith(b"HTTP/1.1 200")
    assert get(address, "/metrics").status_code == 200


def test_a_scrape_that_fails_inside_is_one_500_and_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    with serving(FailingExposition()) as address:
        failed, next_one = get(address, "/metrics"), get(address, "/metrics")
    assert (failed.status_code, next_one.status_code) == (500, 200)
    errors = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.exc_info for record in errors] == [None]
    assert "sk-secret" not in caplog.text + failed.text


def test_the_metrics_may_stand_at_another_path_even_the_root() -> None:
    with serving(GatedExposition(), WebOptions(telemetry_path="/keys", status_page=False)) as address:
        assert get(address, "/keys").status_code == 200
        assert get(address, "/metrics").status_code == 404
        assert 'href="/keys"' in get(address, "/").text
    with serving(GatedExposition(), WebOptions(telemetry_path="/", status_page=False)) as address:
        assert get(address, "/").text == "#########\n"


def test_without_the_status_page_the_root_only_links_to_the_metrics() -> None:
    with serving(GatedExposition(), WebOptions(status_page=False)) as address:
        assert get(address, "/").text.count("<a ") == 1
        assert get(address, "/-/static/status.js").status_code == 404


def test_a_thousand_small_scrapes_at_once_are_answered_or_refused(address: tuple[str, int]) -> None:
    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: get(address, "/metrics").status_code, range(1000)))
    assert set(answers) <= {200, 503}
    assert answers.count(200) > 0


def test_without_a_host_it_listens_on_ipv4_and_ipv6() -> None:
    with server.listen(":0") as listener:
        port = listener.getsockname()[1]
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()


def test_a_port_that_is_taken_is_said_so() -> None:
    with (
        server.listen("127.0.0.1:0") as listener,
        pytest.raises(server.ListenError, match=r"Address already in use: change --web\.listen-address"),
    ):
        server.listen(f"127.0.0.1:{listener.getsockname()[1]}")


def test_answers_are_sent_without_nagles_delay() -> None:
    accepted: list[int] = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        connection = scope["state"]["transport"].get_extra_info("socket")
        accepted.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    with server.listen("127.0.0.1:0") as listener, in_thread(app, listener):
        assert get(listener.getsockname()[:2], "/").status_code == 204
    assert accepted == [1]
