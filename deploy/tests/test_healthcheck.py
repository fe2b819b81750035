"""What the image's HEALTHCHECK runs."""

import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml
from paths import ROOT

from tests.support.processes import exporter
from tests.support.tls_server import write_certificates

TLS = {"cert_file": "server.crt", "key_file": "server.key"}
CLIENT_TLS = {**TLS, "client_ca_file": "ca.crt", "client_auth_type": "RequireAndVerifyClientCert"}


def check(port: int | str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-I", str(ROOT / "deploy/healthcheck.py"), str(port))
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are accepted and nothing is ever sent."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class Greeter(socketserver.BaseRequestHandler):
    """Answers whatever is said in a protocol that is neither HTTP nor TLS."""

    def handle(self) -> None:
        self.request.recv(4096)
        self.request.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


@pytest.fixture
def ssh_port() -> Iterator[int]:
    """A port where a program of another kind responses."""
    with socketserver.TCPServer(("127.0.0.1", 0), Greeter) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
    thread.join()


@pytest.mark.parametrize(
    "web_config",
    [
        {},
        {"basic_auth_users": {"prometheus": bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()}},
        {"tls_server_config": TLS},
        {"tls_server_config": CLIENT_TLS},
        {"tls_server_config": {**CLIENT_TLS, "max_version": "TLS12"}},
    ],
    ids=["plain", "passwords", "tls", "client_certificates", "client_certificates_over_tls_1_2"],
)
def test_a_serving_exporter_is_healthy(web_config: dict[str, Any], tmp_path: Path) -> None:
    write_certificates(tmp_path)
    file = tmp_path / "web-config.yml"
    file.write_text(yaml.safe_dump(web_config))
    with exporter(tmp_path, "--demo", f"--web.config.file={file}") as program:
        checked = check(program.url.rpartition(":")[2])
        assert checked.returncode == 0, checked.stderr


def test_a_port_where_nothing_listens_is_not_healthy() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        checked = check(unused.getsockname()[1])
    assert checked.returncode == 1
    assert "refused" in checked.stderr


def test_an_exporter_that_hangs_is_not_healthy(silent_port: int) -> None:
    checked = check(silent_port)
    assert checked.returncode == 1
    assert "timed out" in checked.stderr


def test_another_program_is_not_healthy(ssh_port: int) -> None:
    checked = check(ssh_port)
    assert checked.returncode == 1
    assert "neither HTTP nor TLS" in checked.stderr
