"""Passwords and headers as clients meet them, over real HTTP."""

import base64
import contextlib
import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest
import requests

from docspace_exporter.web import passwords
from tests.support.tls_server import serving


def hashed(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


WEB_CONFIG = f"""
basic_auth_users:
  prometheus: {hashed("exam:ple")}
  клиент: {hashed("пароль")}
http_server_config:
  headers:
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "web.yml").write_text(WEB_CONFIG)
    return tmp_path / "web.yml"


@pytest.fixture
def port(path: Path) -> Iterator[int]:
    with serving(path) as port:
        yield port


def get(port: int, authorization: bytes = b"", where: str = "/") -> requests.Response:
    headers = {"Authorization": authorization} if authorization else {}
    return requests.get(f"http://127.0.0.1:{port}{where}", headers=headers, timeout=5)


def basic(credentials: bytes) -> bytes:
    return b"Basic " + base64.b64encode(credentials)


@pytest.mark.parametrize(
    "authorization",
    [
        basic(b"prometheus:exam:ple"),
        basic("клиент:пароль".encode()),
        b"bAsIc " + base64.b64encode(b"prometheus:exam:ple"),
    ],
)
def test_a_users_password_is_accepted(port: int, authorization: bytes) -> None:
    assert get(port, authorization).text == "hello"


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Basic",
        b"Basic !!!!",
        b"Basic " + base64.b64encode(b"prometheus:exam:ple").rstrip(b"=") + b"=====",
        b"Basic cHJvbWV0aGV1czpleGFtOnBsZQ",
        b"Basic \xff\xfe",
        b"Bearer " + base64.b64encode(b"prometheus:exam:ple"),
        basic(b"prometheus"),
        basic(b"prometheus:"),
        basic(b"prometheus:wrong"),
        basic(b"prometheus:exam:ple\0"),
        basic(b"prometheus:\xff\xfe"),
        basic(b"prometheus:" + b"p" * 73),
        basic(b"prometheus:" + b"p" * 8000),
        basic(b"Prometheus:exam:ple"),
        basic(b"stranger:exam:ple"),
        basic(b":exam:ple"),
        basic(b"\xff\xfe:exam:ple"),
    ],
)
def test_anything_else_is_unauthorized(port: int, authorization: bytes) -> None:
    response = get(port, authorization)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Basic")


@pytest.mark.parametrize(
    ("where", "status"),
    [
        ("/-/healthy", 200),
        ("/-/ready", 200),
        ("/-/ready/", 401),
        ("/-/ready/..", 401),
        ("//-/ready", 401),
        ("/-/reload", 401),
        ("/nowhere", 401),
    ],
)
def test_only_the_probes_need_no_password(port: int, where: str, status: int) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as client:
        client.request("GET", where)  # as it stands; requests would tidy it
        assert client.getresponse().status == status


def test_an_offer_of_websocket_needs_a_password_too(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert client.recv(64).startswith(b"HTTP/1.1 401 ")


def test_without_users_nobody_needs_a_password(path: Path) -> None:
    path.write_text("")
    with serving(path) as port:
        assert get(port).text == "hello"


def test_a_removed_user_is_rejected_although_cached(path: Path, port: int) -> None:
    assert get(port, basic(b"prometheus:exam:ple")).status_code == 200
    path.write_text(f"basic_auth_users: {{grafana: {hashed('other')}}}")
    assert get(port, basic(b"prometheus:exam:ple")).status_code == 401
    assert get(port, basic(b"grafana:other")).status_code == 200


def test_a_changed_password_takes_effect_at_once(path: Path, port: int) -> None:
    assert get(port, basic(b"prometheus:exam:ple")).status_code == 200
    path.write_text(f"basic_auth_users: {{prometheus: {hashed('changed')}}}")
    assert get(port, basic(b"prometheus:exam:ple")).status_code == 401
    assert get(port, basic(b"prometheus:changed")).status_code == 200


def test_one_password_too_many_gets_503_but_not_a_cached_one(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert get(port, basic(b"prometheus:exam:ple")).status_code == 200
    monkeypatch.setattr(passwords, "MAX_WAITING", 0)
    assert get(port, basic(b"prometheus:exam:ple")).status_code == 200
    response = get(port, basic(b"prometheus:wrong"))
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


@pytest.mark.parametrize("authorization", [b"", basic(b"prometheus:exam:ple")])
def test_every_response_has_the_configured_headers_once(port: int, authorization: bytes) -> None:
    headers = get(port, authorization).headers
    assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("deny", "nosniff")


def test_an_endpoints_own_header_stays_unless_one_is_configured(path: Path) -> None:
    path.write_text("")
    with serving(path) as port:
        assert get(port).headers["X-Frame-Options"] == "sameorigin"
