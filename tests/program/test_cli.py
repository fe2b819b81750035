"""The program as its users meet it: what it prints, what it exits with, what stops it."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from docspace_exporter import __version__
from docspace_exporter.demo import DemoPortal
from docspace_exporter.web import server
from tests.support import processes
from tests.support.command import EXPORTER, Outcome, write_config
from tests.support.faulty_portal import FaultyPortal, respond
from tests.support.portals import ABSENT, SECRET, envelope, record
from tests.support.processes import ROOT, wait_for
from tests.support.samples import samples, values


def test_the_version_is_printed(run: Callable[..., Outcome]) -> None:
    done = run("--version", DOCSPACE_EXPORTER_REVISION="abc")
    python = ".".join(map(str, sys.version_info[:3]))
    assert (done.code, done.errors) == (0, [])
    assert done.output == f"docspace-exporter {__version__} (revision abc, Python {python})\n"


def test_missing_dependencies_are_reported() -> None:
    command = (sys.executable, "-S", *EXPORTER[1:], "--version")
    done = Outcome(subprocess.run(command, capture_output=True, timeout=30, check=False))
    assert (done.code, len(done.errors)) == (1, 1)
    assert done.errors[0].endswith("run `make demo`, or install the package")


def test_an_unknown_flag_is_reported_on_one_line(run: Callable[..., Outcome]) -> None:
    done = run("--nonsense")
    assert (done.code, done.output) == (2, "")
    assert done.errors == ["docspace-exporter: unknown flag --nonsense: see docspace-exporter --help"]


def test_a_missing_configuration_is_reported(run: Callable[..., Outcome]) -> None:
    done = run("--once")
    assert (done.code, done.output) == (1, "")
    (error,) = done.errors
    assert error == (
        "docspace-exporter: config.yaml does not exist in the working directory: create it, "
        "set --config.file, set DOCSPACE_URL and DOCSPACE_API_KEY_FILE, or use --demo"
    )


def test_a_valid_configuration_passes_the_check(run: Callable[..., Outcome], tmp_path: Path) -> None:
    write_config(tmp_path, "https://a.example", "https://b.example")
    done = run("--config.check")
    assert (done.code, done.output, done.errors) == (0, "The configuration is valid: 2 portals\n", [])


def test_three_errors_are_reported_with_their_paths(run: Callable[..., Outcome]) -> None:
    path = ROOT / "tests" / "unit" / "config" / "configs" / "three_mistakes.yml"
    done = run("--config.check", f"--config.file={path}")
    assert (done.code, done.output) == (1, "")
    assert done.errors == [
        f"docspace-exporter: {path}: {error}"
        for error in (
            "poll_intervall: unknown field; did you mean poll_interval?",
            (
                "portals[0].poll_interval: is not a valid duration: "
                "expected one with a unit, such as 30s, 5m or 1h30m"
            ),
            "portals[1].api_key_flie: unknown field; did you mean api_key_file?",
        )
    ]


def test_errors_in_both_configurations_are_reported_in_one_run(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    main, web = tmp_path / "c.yaml", tmp_path / "web.yml"
    main.write_text("portals: []")
    web.write_text("basic_auth_users: {ann: plain}")
    done = run("--config.check", f"--config.file={main}", f"--web.config.file={web}")
    assert (done.code, done.output) == (1, "")
    assert [line.split(": ")[1:3] for line in done.errors] == [
        [str(main), "portals"],
        [str(web), "basic_auth_users.ann"],
    ]


def test_the_check_reports_unusable_files(run: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "portals:\n"
        "  - {url: https://a.example, api_key_file: absent}\n"
        f"  - {{url: https://b.example, api_key: {SECRET}, tls_config: {{ca_file: absent.crt}}}}\n"
    )
    done = run("--config.check")
    assert (done.code, done.output) == (1, "")
    assert [line.partition("portals")[2] for line in done.errors] == [
        "[0].api_key_file: cannot read absent: No such file or directory",
        "[1].tls_config: cannot use absent.crt: No such file or directory",
    ]


def test_files_are_checked_even_if_the_configuration_has_errors(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    (tmp_path / "config.yaml").write_text(
        "portals:\n"
        "  - {url: https://a.example, api_key_file: absent, nmae: a}\n"
        f"  - {{url: https://b.example, api_key: {SECRET}, tls_config: {{ca_file: absent.crt}}}}\n"
        "  - {url: https://c.example}\n"
    )
    done = run("--config.check")
    assert done.code == 1
    assert [line.partition("portals")[2] for line in done.errors] == [
        "[0].nmae: unknown field; did you mean name?",
        "[2].api_key_file: is missing: set it to the file that contains the portal's API key",
        "[0].api_key_file: cannot read absent: No such file or directory",
        "[1].tls_config: cannot use absent.crt: No such file or directory",
    ]


def test_a_missing_key_file_affects_only_its_own_portal(run: Callable[..., Outcome], tmp_path: Path) -> None:
    with FaultyPortal(respond()) as portal:
        write_config(tmp_path, portal.url)
        with (tmp_path / "config.yaml").open("a") as file:
            file.write(f"  - {{url: '{portal.url}', name: keyless, api_key_file: absent}}\n")
        done = run("--once")
    found = samples(done.output)
    assert values(found, "docspace_up", "portal") == {("p0",): 1, ("keyless",): 0}
    assert values(found, "docspace_poll_failures_total", "portal", "reason")["keyless", "credentials"] == 1


def test_a_portal_from_the_environment_is_polled_without_a_file(
    run: Callable[..., Outcome], tmp_path: Path, demo_portal: DemoPortal
) -> None:
    (tmp_path / "config.yaml").write_text("broken: [")
    key_file = tmp_path / "key"
    key_file.write_text(demo_portal.keys[-1].secret + "\n")
    done = run(
        "--once", DOCSPACE_URL=demo_portal.url, DOCSPACE_API_KEY_FILE=str(key_file), DOCSPACE_NAME="env"
    )
    assert (done.code, done.errors) == (0, [])
    found = samples(done.output)
    assert values(found, "docspace_api_keys", "portal") == {("env",): len(demo_portal.keys)}
    assert len(values(found, "docspace_api_key_info", "id")) == len(demo_portal.keys)
    assert {name for name, _ in found if not name.startswith("docspace_")} == set()
    assert not [name for name, _ in found if name.startswith("docspace_exporter_")]


def test_a_url_in_the_environment_and_a_configuration_file_conflict(run: Callable[..., Outcome]) -> None:
    done = run("--once", "--config.file=config.yaml", DOCSPACE_URL="https://acme.example")
    assert done.code == 1
    assert done.errors == ["docspace-exporter: DOCSPACE_URL and --config.file are both set: remove one"]


def test_a_key_in_the_environment_without_a_url_is_reported(run: Callable[..., Outcome]) -> None:
    done = run("--once", DOCSPACE_API_KEY=SECRET)
    assert done.code == 1
    assert done.errors == [
        "docspace-exporter: DOCSPACE_URL is missing: set it to the URL of the portal that the key is for"
    ]


def test_once_prints_everything_and_exits_1_if_a_poll_failed(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    with FaultyPortal(respond()) as good, FaultyPortal(respond(401)) as bad:
        write_config(tmp_path, good.url, bad.url)
        done = run("--once", "--log.format=json")
    assert done.code == 1
    assert values(samples(done.output), "docspace_up", "portal") == {("p0",): 1, ("p1",): 0}
    (line,) = map(json.loads, done.errors)
    assert line["msg"].startswith("Poll failed: status 401, the portal rejected the API key")
    assert (line["level"], line["portal"], line["reason"]) == ("warn", "p1", "unauthorized")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])


MOVING = re.compile(
    r"(docspace_api_key_(?:last_seen|time_to_expiry|time_since_last_use)\w*(?:{.*})?"
    r"|docspace_poll_duration_seconds_sum{.*}|docspace_\w+_success_timestamp_seconds(?:{.*})?) [0-9.e+-]+"
)
"""Lines whose value depends on when the portal was polled or scraped."""


def test_once_prints_what_metrics_shows(run: Callable[..., Outcome], tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [{}, {"id": "2", "expiresAt": ABSENT}, {"id": "3", "lastUsed": ABSENT}]
    body = envelope([record(**each) for each in changes])
    with FaultyPortal(respond(body=body)) as portal:
        config = write_config(tmp_path, portal.url)
        with processes.exporter(tmp_path, f"--config.file={config}") as program:
            wait_for(lambda: program.responds("/-/ready"), "the first poll")
            scraped = requests.get(f"{program.url}/metrics", timeout=10).text
        once = run("--once")
    assert once.code == 0
    lines = [
        line
        for line in scraped.splitlines()
        if not re.match(r"(# \w+ )?(process|python|docspace_exporter)_", line)
    ]
    assert [MOVING.sub(r"\1 X", line) for line in once.output.splitlines()] == [
        MOVING.sub(r"\1 X", line) for line in lines
    ]


def test_an_invalid_listen_address_is_reported(run: Callable[..., Outcome]) -> None:
    done = run("--demo", "--web.listen-address=nonsense")
    assert (done.code, done.output, len(done.errors)) == (2, "", 1)
    assert "expected host:port, :port or [v6]:port" in done.errors[0]


@pytest.mark.parametrize("flag", ["--once", "--config.check"])
def test_output_that_cannot_be_written_is_reported_on_one_line(flag: str) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [*EXPORTER, "--demo", flag]
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1] == "docspace-exporter: cannot write to stdout: No space left on device"
    )
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_reported_on_one_line(run: Callable[..., Outcome], tmp_path: Path) -> None:
    write_config(tmp_path, "https://acme.example")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(f"--web.listen-address={address}")
    assert (done.code, done.output) == (1, "")
    assert done.errors == [
        f"docspace-exporter: cannot listen on {address}: Address already in use: change --web.listen-address"
    ]


@pytest.mark.parametrize("flag", ["--once", "--config.check"])
def test_a_closed_stdout_is_reported_on_one_line(flag: str) -> None:
    command = ["sh", "-c", '"$@" >&-', "sh", *EXPORTER, "--demo", flag]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "docspace-exporter: cannot write to stdout: it is closed"


def test_a_closed_stderr_only_loses_messages() -> None:
    command = ["sh", "-c", '"$@" 2>&-', "sh", *EXPORTER, "--demo", "--once"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert values(samples(done.stdout), "docspace_up", "portal") == {("demo",): 1}


def test_an_invalid_host_is_reported_on_one_line(run: Callable[..., Outcome], tmp_path: Path) -> None:
    write_config(tmp_path, "https://acme.example")
    done = run("--web.listen-address=a..b:9000")
    assert done.code == 1
    assert done.errors == [
        "docspace-exporter: cannot listen on a..b:9000: invalid host name: change --web.listen-address"
    ]


def test_the_log_has_one_logfmt_line_per_event(tmp_path: Path) -> None:
    with FaultyPortal(respond(500)) as portal:
        config = write_config(tmp_path, portal.url, poll_interval="300ms")
        with processes.exporter(tmp_path, f"--config.file={config}", "--log.level=info") as exporter:
            wait_for(lambda: len(portal.requests) > 3, "several polls")
    time_ = r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    lines = exporter.log.splitlines()
    assert all(re.match(rf'{time_} level=(info|warn) msg="?\w', line) for line in lines)
    assert sum("Poll failed" in line for line in lines) == 1
    assert [line for line in lines if "msg=Stopping" in line]


def test_the_demo_prints_the_url_of_its_portal_and_a_key(tmp_path: Path) -> None:
    with processes.exporter(tmp_path, "--demo") as exporter:
        logged = re.search(r"A demo portal listens on (\S+) and accepts the key (\S+)\n", exporter.log)
        assert logged is not None
        portal, key = logged.groups()
        port = exporter.url.rpartition(":")[2]
        wait_for(lambda: f"Status page: http://localhost:{port}/ " in exporter.log, "the URL of the page")
        listed = requests.get(f"{portal}/api/2.0/keys", headers={"Authorization": f"Bearer {key}"}, timeout=5)
        wait_for(lambda: exporter.responds("/-/ready"), "the first poll")
        text = requests.get(exporter.url + "/metrics", timeout=5).text
    found = samples(text)
    assert len(listed.json()["response"]) == len(values(found, "docspace_api_key_info", "id")) >= 12
    assert values(found, "docspace_up", "portal") == {("demo",): 1}
    assert values(found, "docspace_api_keys_complete", "portal") == {("demo",): 1}
    assert {"process_cpu_seconds_total", "python_info"} <= {name for name, _ in found}


def test_it_listens_on_every_address_that_is_given(tmp_path: Path) -> None:
    with processes.exporter(tmp_path, "--demo", "--web.listen-address=[::1]:0") as exporter:
        wait_for(lambda: exporter.log.count("msg=Listening") == 2, "two addresses")
        addresses = re.findall(r"msg=Listening address=\"?([^\s\"]+)", exporter.log)
        assert [address.rpartition(":")[0] for address in addresses] == ["127.0.0.1", "[::1]"]
        for address in addresses:
            assert requests.get(f"http://{address}/-/healthy", timeout=5).status_code == 200


def test_an_address_in_use_is_reported_whichever_it_is(run: Callable[..., Outcome]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--demo", "--web.listen-address=127.0.0.1:0", f"--web.listen-address=127.0.0.1:{port}")
    assert done.code == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.errors[-1]


LISTEN_AS_SYSTEMD = """
import os, socket, sys
listeners = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)]
listeners[1].bind(sys.argv[1])
listeners[1].listen()
descriptors = [os.dup(listener.detach()) for listener in listeners]
for number, descriptor in enumerate(descriptors, start=3):
    os.dup2(descriptor, number, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_it_listens_on_the_sockets_that_systemd_passes(tmp_path: Path) -> None:
    path, log = tmp_path / "exporter.sock", tmp_path / "log"
    command = [
        sys.executable,
        "-c",
        LISTEN_AS_SYSTEMD,
        str(path),
        *EXPORTER,
        "--demo",
        "--web.systemd-socket",
    ]
    with log.open("w") as output, subprocess.Popen(command, stderr=output) as process:
        try:
            wait_for(lambda: log.read_text().count("msg=Listening") == 2, "two sockets")
            assert f"address={path}" in log.read_text()
            (address,) = re.findall(r"address=(127\.0\.0\.1:\d+)", log.read_text())
            assert requests.get(f"http://{address}/-/healthy", timeout=5).status_code == 200
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(5)
                client.connect(str(path))
                client.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
                assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        finally:
            process.terminate()


@pytest.mark.parametrize("passed", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_FDS": "1"}])
def test_a_socket_that_systemd_does_not_pass_is_reported(
    run: Callable[..., Outcome], passed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in passed.items():
        monkeypatch.setenv(name, value)
    done = run("--demo", "--web.systemd-socket")
    assert done.code == 1
    assert done.errors[-1] == (
        "docspace-exporter: systemd passes no socket: start the exporter by a .socket unit"
    )


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, "cannot listen on a socket of systemd: Bad file descriptor"),
        (socket.SOCK_DGRAM, "systemd passes a socket that is no stream: set ListenStream= in its unit"),
    ],
    ids=["closed", "datagram"],
)
def test_an_unsuitable_socket_of_systemd_is_reported(
    kind: socket.SocketKind | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor = socket.socket(socket.AF_INET, kind).detach() if kind else 900
    monkeypatch.setattr(server, "FIRST_INHERITED", descriptor)
    with pytest.raises(server.ListenError, match=expected):
        server.inherited({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
