"""What the image's HEALTHCHECK runs."""

import socket
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
from processes import exporter
from tls_server import write_certificates

TLS = {"cert_file": "server.crt", "key_file": "server.key"}
CLIENT_TLS = {**TLS, "client_ca_file": "ca.crt", "client_auth_type": "RequireAndVerifyClientCert"}


def check(port: int | str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-I", str(ROOT / "deploy/healthcheck.py"), str(port))
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are taken and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def ssh_port() -> Iterator[int]:
    """A port where every connection is greeted in a protocol of another kind, and closed."""

    def greet() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                connection.shutdown(socket.SHUT_WR)
                connection.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        greeter = threading.Thread(target=greet)
        greeter.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    greeter.join()


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
