"""Secrets in every place where one can be; no output contains them."""

import base64
import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import bcrypt
import pytest
import requests
import trustme
import yaml

from docspace_exporter import flags, logs
from docspace_exporter.config import portals, section
from docspace_exporter.web import config as web_config
from tests.support import processes
from tests.support.canary import CANARY, KEY, PASSWORD, SECRETS, leaks
from tests.support.faulty_portal import Behaviour, FaultyPortal, http, respond, send_and_end
from tests.support.processes import wait_for

PASSWORD_IN_URL = quote(PASSWORD, safe="")
USER = ("prometheus", PASSWORD)

ECHOES: Mapping[str, Callable[[str], bytes]] = {
    "error": lambda key: http(500, f'{{"error":{{"message":"{key}"}}}}'.encode()),
    "HTML": lambda key: http(502, f"<h1>{key}</h1>".encode(), Content_Type="text/html"),
    "broken JSON": lambda key: http(200, f'{{"response":["{key}'.encode()),
    "redirect's path": lambda key: http(302, b"", Location=f"https://x.example/{key}?{key}"),
    "redirect's user": lambda key: http(302, b"", Location=f"https://{key}:{key}@x.example/"),
    "redirect's host": lambda key: http(302, b"", Location=f"https://{key}.example/"),
    "part of the key as redirect's host": lambda key: http(
        302, b"", Location=f"https://{key[3:-1]}.example/"
    ),
    "retry": lambda key: http(429, b"", Retry_After=key),
    "type": lambda key: http(200, b"", Content_Type=key),
    "compression": lambda key: http(200, b"", Content_Encoding=key),
    "length": lambda key: http(200, b"", Content_Length=key),
    "status": lambda key: http(key, b""),
    "reason": lambda key: f"HTTP/1.1 401 {key}\r\nContent-Length: 0\r\n\r\n".encode(),
    "chunk": lambda key: f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{key}\r\n".encode(),
    "header": lambda key: f"HTTP/1.1 200 OK\r\n{key}\r\n {key}\r\nContent-Length: 0\r\n\r\n".encode(),
    "no HTTP": lambda key: f"{key}\r\n".encode(),
}
"""What a portal sends that has seen a key."""


def echoing(echo: Callable[[str], bytes]) -> Behaviour:
    def behave(connection: socket.socket, head: str) -> None:
        key = head.partition("Authorization: Bearer ")[2].partition("\r\n")[0]
        send_and_end(echo(key))(connection, head)

    return behave


@dataclass(frozen=True)
class Planted:
    """Configurations full of secrets, and what to look for in whatever is said."""

    folder: Path
    portals: int
    secrets: tuple[str, ...]

    @property
    def flags(self) -> tuple[str, ...]:
        return (
            f"--config.file={self.folder / 'config.yaml'}",
            f"--web.config.file={self.folder / 'web.yaml'}",
        )


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Planted]:
    """Configurations whose portals send back the key, or are behind a proxy that fails."""
    with contextlib.ExitStack() as stack:
        echoes = [stack.enter_context(FaultyPortal(echoing(echo))) for echo in ECHOES.values()]
        refusing = stack.enter_context(FaultyPortal(respond(407)))
        proxies = [f"http://user:{PASSWORD_IN_URL}@127.0.0.1:{port}" for port in (refusing.port, 1)]
        (tmp_path / "key").write_text(f"{KEY}\n")
        (tmp_path / "bad_key").write_text(f"{KEY}\n{KEY}\n")
        listed: list[dict[str, Any]] = [
            *({"url": portal.url, "api_key": KEY} for portal in echoes),
            *({"url": portal.url, "api_key_file": "key"} for portal in echoes),
            *(
                {"url": url, "allow_http": True, "api_key": KEY, "proxy_url": proxy}
                for url in ("http://acme.invalid", "https://acme.invalid")
                for proxy in proxies
            ),
            {"url": "http://localhost:1", "api_key_file": "bad_key"},
        ]
        for number, each in enumerate(listed):
            each["name"] = f"portal {number}"
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"poll_timeout": "5s", "portals": listed}))
        yield Planted(tmp_path, len(listed), (*SECRETS, *write_web_config(tmp_path)))


def write_web_config(folder: Path) -> tuple[str, str]:
    """Write `web.yaml`, with all its secrets inline, and `ca.pem`; returns these secrets."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate = authority.issue_cert("localhost")
    key = certificate.private_key_pem.bytes().decode()
    password_hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    document = {
        "tls_server_config": {"cert": certificate.cert_chain_pems[0].bytes().decode(), "key": key},
        "basic_auth_users": {USER[0]: password_hash},
    }
    (folder / "web.yaml").write_text(yaml.safe_dump(document))
    return key.splitlines()[2], password_hash


@pytest.mark.parametrize("format_", logs.FORMATS)
def test_no_output_of_the_running_exporter_contains_a_secret(format_: str, planted: Planted) -> None:
    port = processes.free_port()
    url = f"https://localhost:{port}"
    command = (
        *(sys.executable, str(processes.ROOT / "exporter.py"), *planted.flags, "--web.enable-lifecycle"),
        *(f"--web.listen-address=localhost:{port}", "--log.level=debug", f"--log.format={format_}"),
    )
    with (
        processes._started(command, planted.folder / "log") as (process, log),
        requests.Session() as client,
    ):
        client.trust_env = False
        client.verify = str(planted.folder / "ca.pem")
        said: list[str] = []

        def ask(path: str, status: int, method: str = "GET", **options: Any) -> str:
            done = client.request(method, f"{url}{path}", timeout=10, **options)
            said.append(f"{done.headers} {done.text}")
            assert done.status_code == status, done.text
            return done.text

        def is_ready() -> bool:
            try:
                return client.get(f"{url}/-/ready", timeout=10).status_code == 200
            except requests.ConnectionError:
                return False

        wait_for(is_ready, "the first polls")
        text = ask("/metrics", 200, auth=USER)
        assert text.count("docspace_up{") == text.count("docspace_up{portal=") == planted.portals
        ask("/metrics", 200, auth=USER, headers={"Accept": "application/openmetrics-text"})
        ask("/", 200, auth=USER)
        ask(f"/{CANARY}", 404, auth=USER)
        ask(f"/metrics?token={KEY}", 401, auth=(USER[0], KEY))
        ask("/metrics", 401, auth=(KEY, PASSWORD))
        ask("/metrics", 401, headers={"Authorization": f"Bearer {KEY}"})
        with socket.create_connection(("localhost", port), timeout=10) as plain:
            plain.sendall(f"GET /{CANARY} HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
            said.append(plain.recv(65536).decode(errors="replace"))
        ask("/-/reload", 200, "POST", auth=USER)
        (planted.folder / "config.yaml").write_text(
            f"portals: [{{url: {KEY}, api_key: {KEY}, api_key_file: {KEY}}}]"
        )
        ask("/-/reload", 500, "POST", auth=USER)
        errors = log.read_text().count("not reloaded")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: log.read_text().count("not reloaded") == 2 * errors, "the errors in the log")
    assert errors > 0
    assert leaks("\n".join([*said, log.read_text()]), planted.secrets) == []
    assert "Traceback" not in log.read_text()


def run_to_the_end(*given: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, processes.ROOT / "exporter.py", *given],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("flag", ["--config.check", "--once"])
def test_no_output_of_a_complete_run_contains_a_secret(flag: str, planted: Planted) -> None:
    done = run_to_the_end(flag, *planted.flags, "--log.level=debug", folder=planted.folder)
    assert done.returncode == 1
    assert done.stderr
    assert leaks(done.stdout + done.stderr, planted.secrets) == []


def test_no_output_of_a_run_with_the_environment_contains_a_secret(tmp_path: Path) -> None:
    with FaultyPortal(echoing(ECHOES["error"])) as portal:
        done = run_to_the_end(
            "--once", "--log.level=debug", folder=tmp_path, DOCSPACE_URL=portal.url, DOCSPACE_API_KEY=KEY
        )
    assert "docspace_up{" in done.stdout
    assert leaks(done.stdout + done.stderr) == []


PORTAL = "url: https://acme.example"
PEM = f"-----BEGIN PRIVATE KEY-----\n\n{CANARY}\n\n-----END PRIVATE KEY-----"
MISTAKES = {
    "key with a newline": f'portals: [{{{PORTAL}, api_key: "{KEY}\\n"}}]',
    "key with another sign": f"portals: [{{{PORTAL}, api_key: {KEY}é}}]",
    "key in a list": f"portals: [{{{PORTAL}, api_key: [{KEY}]}}]",
    "key twice": f"portals: [{{{PORTAL}, api_key: {KEY}, api_key_file: {KEY}}}]",
    "key as a file's name": f"portals: [{{{PORTAL}, api_key_file: {KEY}}}]",
    "key with a word before it, as a file's name": f"portals: [{{{PORTAL}, api_key_file: Bearer {KEY}}}]",
    "key after no space": f"portals: [{{{PORTAL}, api_key:{KEY}}}]",
    "key as a label": f"portals: [{{{PORTAL}, labels: {{{KEY}: x}}}}]",
    "key after no space as a label": f"portals: [{{{PORTAL}, labels: {{api_key:{KEY}}}}}]",
    "key as a label's value": f"portals: [{{{PORTAL}, labels: {{team: {KEY}}}}}]",
    "key as a name": f"portals: [{{{PORTAL}, name: {KEY}}}]",
    "key as two names": f"portals: [{{{PORTAL}, name: {KEY}}}, {{{PORTAL}, name: {KEY}}}]",
    "key as a field": f"portals: [{{{PORTAL}, {KEY}: }}]",
    "key as a portal": f"portals: [{KEY}]",
    "key as a url": f"portals: [{{url: {KEY}}}]",
    "key in a url": f"portals: [{{url: 'https://acme.example/?key={KEY}'}}]",
    "key as a duration": f"poll_interval: {KEY}",
    "key as a switch": f"portals: [{{{PORTAL}, allow_http: {KEY}}}]",
    "key in open quotes": f'portals: [{{{PORTAL}, api_key: "{KEY}',
    "key as an alias": f"portals: [{{{PORTAL}, api_key: *{KEY}}}]",
    "key as a tag": f"portals: [{{{PORTAL}, api_key: !{KEY} x}}]",
    "key as an anchor": f"portals: [&{KEY} x, &{KEY} y]",
    "key before a second colon": f"portals: api_key: {KEY}",
    "key after a tab": f"portals:\n\t- {KEY}",
    "key with a control character": f"portals: {KEY}\a",
    "password in a url": f"portals: [{{url: 'https://user:{PASSWORD_IN_URL}@acme.example'}}]",
    "password for no proxy": f"portals: [{{{PORTAL}, proxy_url: 'socks5://user:{PASSWORD_IN_URL}@x'}}]",
    "password for a broken proxy": f"portals: [{{{PORTAL}, proxy_url: 'http://user:{PASSWORD_IN_URL}@x:port'}}]",
    "private key as a file's name": f"portals: [{{{PORTAL}, tls_config: {{key_file: '{PEM}'}}}}]",
}
WEB_MISTAKES = {
    "password for a hash": f"basic_auth_users: {{prometheus: '{PASSWORD}'}}",
    "password after no space": f"basic_auth_users: {{prometheus:{PASSWORD}}}",
    "hash for a user": f"basic_auth_users: {{$2y$10${CANARY}: prometheus}}",
    "hash of too high a cost": f"basic_auth_users: {{prometheus: $2y$31${(CANARY + 'x' * 53)[:53]}}}",
    "broken private key": f"tls_server_config: {{cert: '{CANARY}', key: '{PEM}'}}",
    "private key as a file's name": f"tls_server_config: {{key_file: '{PEM}'}}",
    "private key after no space": f"tls_server_config: {{key:{CANARY}}}",
}
VARIABLES = {
    "key with a newline": {"DOCSPACE_API_KEY": f"{KEY}\n{KEY}"},
    "key as a file's name": {"DOCSPACE_API_KEY_FILE": KEY},
    "key twice": {"DOCSPACE_API_KEY": KEY, "DOCSPACE_API_KEY_FILE": KEY},
    "password in a url": {
        "DOCSPACE_URL": f"https://user:{PASSWORD_IN_URL}@acme.example",
        "DOCSPACE_API_KEY": KEY,
    },
    "key as a duration": {"DOCSPACE_API_KEY": KEY, "DOCSPACE_POLL_INTERVAL": KEY},
    "key as a switch": {"DOCSPACE_API_KEY": KEY, "DOCSPACE_ALLOW_HTTP": KEY},
}


@pytest.mark.parametrize("error", MISTAKES)
def test_no_configuration_error_quotes_a_secret(error: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(MISTAKES[error])
    with pytest.raises(section.ConfigError) as raised:
        portals.load_file(file)
    assert leaks(str(raised.value)) == []


@pytest.mark.parametrize("error", WEB_MISTAKES)
def test_no_web_configuration_error_quotes_a_secret(error: str, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text(WEB_MISTAKES[error])
    with pytest.raises(section.ConfigError) as raised:
        web_config.load(file)
    assert leaks(str(raised.value)) == []


@pytest.mark.parametrize("error", VARIABLES)
def test_no_error_in_a_variable_quotes_a_secret(error: str) -> None:
    with pytest.raises(section.ConfigError) as raised:
        portals.load_environment({"DOCSPACE_URL": "https://acme.example", **VARIABLES[error]})
    assert leaks(str(raised.value)) == []


@pytest.mark.parametrize("given", [[f"--api-key={KEY}"], ["--api-key", KEY], [KEY]])
def test_no_flag_error_quotes_a_secret(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        flags.parse(given, "1.2.3")
    said = capsys.readouterr()
    assert said.err
    assert leaks(said.out + said.err) == []


@pytest.mark.parametrize("echo", ECHOES)
def test_every_echo_sends_the_key_back(echo: str) -> None:
    with (
        FaultyPortal(echoing(ECHOES[echo])) as portal,
        socket.create_connection(("127.0.0.1", portal.port)) as client,
    ):
        client.sendall(f"GET / HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
        assert CANARY in leaks(client.recv(65536).decode())


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "spell",
    [
        str,
        str.upper,
        lambda secret: quote(f"api key={secret}&x", safe=""),
        lambda secret: base64.b64encode(f"user:{secret}".encode()).decode(),
        lambda secret: base64.b64encode(f"someone:{secret}!".encode()).decode(),
        lambda secret: base64.b64encode(f"{secret} and more".encode()).decode(),
        lambda secret: secret.encode().hex(),
    ],
    ids=["plain", "capitals", "in a url", "Basic", "Basic, another user", "base64", "hex"],
)
def test_a_secret_is_found_however_it_is_encoded(spell: Callable[[str], str], secret: str) -> None:
    assert leaks(f'msg="something {spell(secret)}"') != []
    assert leaks(f'msg="something {spell("harmless" + secret[::-1])}"') == []
