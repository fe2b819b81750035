"""Polls through a proxy: which one is used, what it sees, and how its failures are reported."""

import contextlib
import socket
import ssl
import threading
from pathlib import Path

import pytest
import trustme

from docspace_exporter.docspace import client
from docspace_exporter.docspace.failures import Reason
from tests.support.faulty_portal import Behaviour, FaultyPortal, drip, hang, http, respond
from tests.support.portals import SECRET, failure_at, portal_at

PASSWORD = "proxy-p4ssword"


def tunnel_to(portal: FaultyPortal) -> Behaviour:
    """Respond to CONNECT with a tunnel to this portal, whatever the destination."""

    def behave(connection: socket.socket, request: str) -> None:
        assert request.startswith("CONNECT ")
        with socket.create_connection(("127.0.0.1", portal.port)) as onward:
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=_pump, args=(onward, connection))
            back.start()
            _pump(connection, onward)
            back.join()

    return behave


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The authority that portals and proxies are verified with."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.crt"))
    return authority


def test_a_portal_is_polled_through_the_configured_proxy() -> None:
    with FaultyPortal(respond()) as proxy:
        proxy_url = proxy.url.replace("//", f"//user:{PASSWORD}@")
        assert client.poll(portal_at("http://acme.example", proxy_url=proxy_url), None).keys
    assert proxy.requests[0].startswith("GET http://acme.example/api/2.0/keys HTTP/1.1\r\n")
    assert "\r\nProxy-Authorization: Basic " in proxy.requests[0]


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_portal_is_polled_through_the_proxy_from_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyPortal(respond()) as proxy:
        monkeypatch.setenv(name, proxy.url)
        assert client.poll(portal_at("http://acme.example"), None).keys


def test_the_configured_proxy_takes_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyPortal(respond()) as proxy, FaultyPortal(respond(500)) as other:
        monkeypatch.setenv("http_proxy", other.url)
        assert client.poll(portal_at("http://acme.example", proxy_url=proxy.url), None).keys
    assert other.requests == []


def test_a_portal_listed_in_no_proxy_is_polled_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with FaultyPortal(respond()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "invalid")
        failure = failure_at(portal_at("http://nobody.invalid"))
    assert failure.reason is Reason.CONNECTION
    assert proxy.requests == []


def test_a_portal_on_this_machine_is_polled_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyPortal(respond()) as portal, FaultyPortal(respond(500)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert client.poll(portal_at(portal.url), None).keys
    assert proxy.requests == []


def test_a_proxy_never_sees_the_key_of_an_https_portal(authority: trustme.CA) -> None:
    with (
        FaultyPortal(respond(), server_context(authority, "acme.example")) as portal,
        FaultyPortal(tunnel_to(portal)) as proxy,
    ):
        assert client.poll(portal_at("https://acme.example", proxy_url=proxy.url), None).keys
    assert proxy.requests[0].startswith("CONNECT acme.example:443 ")
    assert SECRET not in "".join(proxy.requests)
    assert f"Authorization: Bearer {SECRET}" in portal.requests[0]


def test_a_proxy_can_be_reached_over_tls(authority: trustme.CA) -> None:
    with (
        FaultyPortal(respond(), server_context(authority, "acme.example")) as portal,
        FaultyPortal(tunnel_to(portal), server_context(authority, "127.0.0.1")) as proxy,
    ):
        assert client.poll(portal_at("https://acme.example", proxy_url=proxy.url), None).keys


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxy_scheme", ["http", "https"])
def test_a_poll_of_a_slow_portal_behind_a_proxy_ends_in_time(
    scheme: str,
    proxy_scheme: str,
    authority: trustme.CA,
) -> None:
    slow = drip(b" " * 1000, http(body=b"", Content_Length="1000"))
    proxy_tls = server_context(authority, "127.0.0.1") if proxy_scheme == "https" else None
    with (
        FaultyPortal(slow, server_context(authority, "acme.example")) as portal,
        FaultyPortal(tunnel_to(portal) if scheme == "https" else slow, proxy_tls) as proxy,
    ):
        failure = failure_at(portal_at(f"{scheme}://acme.example", proxy_url=proxy.url, poll_timeout=0.5))
    assert failure.reason is Reason.TIMEOUT
    assert failure.message.startswith("no complete response within 0.5s")


@pytest.mark.parametrize("proxy_scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("scheme", "behave", "reason"),
    [
        ("http", respond(407, b""), Reason.UNEXPECTED_STATUS),
        ("http", respond(502, b""), Reason.SERVER_ERROR),
        ("http", hang, Reason.TIMEOUT),
        ("https", respond(407, b""), Reason.CONNECTION),
        ("https", respond(502, b""), Reason.CONNECTION),
        ("https", drip(b"HTTP/1.1 200 Connected\r\nPadding: " + b"x" * 1000), Reason.TIMEOUT),
    ],
)
def test_a_failing_proxy_is_reported_without_its_password(
    scheme: str,
    behave: Behaviour,
    reason: Reason,
    proxy_scheme: str,
    authority: trustme.CA,
) -> None:
    proxy_tls = server_context(authority, "127.0.0.1") if proxy_scheme == "https" else None
    with FaultyPortal(behave, proxy_tls) as proxy:
        proxy_url = proxy.url.replace("//", f"//user:{PASSWORD}@")
        failure = failure_at(portal_at(f"{scheme}://acme.example", proxy_url=proxy_url, poll_timeout=0.5))
    assert failure.reason is reason
    assert PASSWORD not in f"{failure!r} {failure.__cause__!r}"
    assert SECRET not in f"{failure!r} {failure.__cause__!r}"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_unreachable_proxy_is_reported_without_its_password(scheme: str) -> None:
    with FaultyPortal(hang) as proxy:
        proxy.close()
        proxy_url = proxy.url.replace("//", f"//user:{PASSWORD}@")
        failure = failure_at(portal_at(f"{scheme}://acme.example", proxy_url=proxy_url))
    assert failure.reason is Reason.CONNECTION
    assert PASSWORD not in failure.message
