"""A canary stands in every place where a secret can stand; no output sings."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import processes
import pytest
import requests
import yaml
from faulty_portal import Behaviour, FaultyPortal, answer, send, send_and_end
from processes import wait_for

CANARY = "canary0secret"

ECHOES: dict[str, Behaviour] = {
    "in a body": lambda connection, head: answer(500, head.encode())(connection, head),
    "in a redirect": lambda connection, head: answer(302, Location=f"https://x.example/?{_key(head)}")(
        connection, head
    ),
    "in its host": lambda connection, head: answer(302, Location=f"https://{_key(head)}@x.example/")(
        connection, head
    ),
    "in a header": lambda connection, head: answer(429, Retry_After=_key(head))(connection, head),
    "in broken headers": lambda connection, head: send_and_end(
        b"HTTP/1.1 200 OK\r\n" + _key(head).encode() + b"\r\nno header\r\nContent-Length: 0\r\n\r\n"
    )(connection, head),
    "in place of HTTP": lambda connection, head: send_and_end(_key(head).encode() + b"\r\n")(
        connection, head
    ),
    "in the reason": lambda connection, head: send_and_end(
        b"HTTP/1.1 401 " + _key(head).encode() + b"\r\nContent-Length: 0\r\n\r\n"
    )(connection, head),
    "in the chunks": lambda connection, head: send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _key(head).encode() + b"\r\n"
    )(connection, head),
}


def _key(head: str) -> str:
    """Return the key that a request carries."""
    return head.partition("Authorization: Bearer ")[2].partition("\r\n")[0]


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """A configuration full of canaries, of portals that send them back."""
    (tmp_path / "key").write_text(f"sk-{CANARY}\n")
    (tmp_path / "bad_key").write_text(f"sk-{CANARY} {CANARY}\n")
    with ExitStack() as stack:
        echoing = [stack.enter_context(FaultyPortal(behave)) for behave in ECHOES.values()]
        refusing = stack.enter_context(FaultyPortal(answer(407)))
        proxy = {"proxy_url": f"http://user:{CANARY}@127.0.0.1:{refusing.port}"}
        file = {"api_key_file": "key"}
        portals: list[dict[str, Any]] = [
            *({"url": portal.url, "api_key": f"sk-{CANARY}"} for portal in echoing),
            *({"url": portal.url, "name": f"file {portal.port}", **file} for portal in echoing),
            {"url": "http://localhost:1", "api_key_file": "bad_key"},
            {"url": "https://tunnelled.invalid", **file, **proxy},
            {"url": "http://forwarded.invalid", "allow_http": True, **file, **proxy},
            {"url": "https://lost.invalid", **file, "proxy_url": f"http://user:{CANARY}@127.0.0.1:1"},
        ]
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({"poll_timeout": "5s", "portals": portals}))
        yield path


def test_nothing_that_the_running_exporter_says_holds_a_secret(config: Path, tmp_path: Path) -> None:
    portals = len(yaml.safe_load(config.read_text())["portals"])
    said = []
    with processes.exporter(
        tmp_path, f"--config.file={config}", "--log.level=debug", "--web.enable-lifecycle"
    ) as exporter:
        wait_for(lambda: exporter.answers("/-/ready"), "the first polls")
        for path, accept in (("/metrics", "*/*"), ("/metrics", "application/openmetrics-text"), ("/", "*/*")):
            said.append(requests.get(exporter.url + path, headers={"Accept": accept}, timeout=10).text)
        for broken in (
            f"portals: [{{api_key: sk-{CANARY}",
            f"portals: [{{api_key: [sk-{CANARY}]}}]\n{CANARY}:\n",
        ):
            config.write_text(broken)
            answer = requests.post(exporter.url + "/-/reload", timeout=10)
            assert answer.status_code == 500
            said.append(answer.text.replace(f"{CANARY}: unknown field", ""))
        exporter.process.send_signal(signal.SIGHUP)
        wait_for(lambda: exporter.log.count("not reloaded") > 4, "mistakes in the log")
    assert said[0].count("docspace_up{") == portals
    assert exporter.log.count("Poll failed") == portals
    assert CANARY not in "".join(said)
    assert CANARY not in exporter.log.replace(f"{CANARY}: unknown field", "")


@pytest.mark.parametrize("flag", ["--config.check", "--once"])
def test_nothing_that_a_run_to_the_end_says_holds_a_secret(config: Path, flag: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            processes.ROOT / "exporter.py",
            flag,
            f"--config.file={config}",
            "--log.level=debug",
        ],
        cwd=config.parent,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr
    assert CANARY.encode() not in done.stdout + done.stderr
    assert b"Traceback" not in done.stderr


def test_the_canaries_are_sent_and_sent_back(config: Path) -> None:
    """Otherwise the silence of the other tests says nothing."""
    for portal in yaml.safe_load(config.read_text())["portals"]:
        if "api_key" in portal:
            with socket.create_connection(("127.0.0.1", int(portal["url"].rpartition(":")[2]))) as connection:
                connection.sendall(
                    f"GET / HTTP/1.1\r\nAuthorization: Bearer {portal['api_key']}\r\n\r\n".encode()
                )
                assert CANARY in connection.recv(65536).decode()
