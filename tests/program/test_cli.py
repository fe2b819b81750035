"""The program as its users meet it: what it prints, what it exits with, what stops it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from docspace_exporter import __version__
from docspace_exporter.demo import DemoPortal
from tests.support import processes
from tests.support.faulty_portal import FaultyPortal, answer, hang
from tests.support.portals import ABSENT, SECRET, envelope, record
from tests.support.processes import ROOT, wait_for
from tests.support.samples import samples, values

EXPORTER = (sys.executable, str(processes.ROOT / "exporter.py"))


class Outcome:
    """What a run of the program came to."""

    def __init__(self, done: "subprocess.CompletedProcess[bytes]") -> None:
        self.code = done.returncode
        self.output = done.stdout.decode()
        self.errors = done.stderr.decode().splitlines()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Outcome]:
    """Run the program to its end in a folder of its own, with these flags and DOCSPACE_ variables."""

    def run(*flags: str, **environment: str) -> Outcome:
        return Outcome(
            subprocess.run(
                [*EXPORTER, *flags],
                cwd=tmp_path,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=30,
                check=False,
            )
        )

    return run


def write_config(folder: Path, *urls: str, **fields: str) -> Path:
    """Write a configuration of these portals, to `config.yaml`, and return its path."""
    given = "".join(f", {field}: {value}" for field, value in {"api_key": SECRET, **fields}.items())
    lines = [f"  - {{url: '{url}', name: p{number}{given}}}\n" for number, url in enumerate(urls)]
    path = folder / "config.yaml"
    path.write_text("portals:\n" + "".join(lines))
    return path


def test_the_version_is_printed(run: Callable[..., Outcome]) -> None:
    done = run("--version", DOCSPACE_EXPORTER_REVISION="abc")
    python = ".".join(map(str, sys.version_info[:3]))
    assert (done.code, done.errors) == (0, [])
    assert done.output == f"docspace-exporter {__version__} (revision abc, Python {python})\n"


def test_without_its_dependencies_the_program_says_what_to_do() -> None:
    command = (sys.executable, "-S", *EXPORTER[1:], "--version")
    done = Outcome(subprocess.run(command, capture_output=True, timeout=30, check=False))
    assert (done.code, len(done.errors)) == (1, 1)
    assert done.errors[0].endswith("run `make demo`, or install the package")


def test_wrong_flags_are_told_in_a_line(run: Callable[..., Outcome]) -> None:
    done = run("--nonsense")
    assert (done.code, done.output) == (2, "")
    assert done.errors == ["docspace-exporter: unknown flag --nonsense: see docspace-exporter --help"]


def test_without_a_configuration_the_program_says_what_to_do(run: Callable[..., Outcome]) -> None:
    done = run("--once")
    assert (done.code, done.output) == (1, "")
    (error,) = done.errors
    assert error == (
        "docspace-exporter: config.yaml does not exist in the working directory: create it, "
        "set --config.file, set DOCSPACE_URL and DOCSPACE_API_KEY_FILE, or use --demo"
    )


def test_a_good_configuration_is_said_to_be_good(run: Callable[..., Outcome], tmp_path: Path) -> None:
    write_config(tmp_path, "https://a.example", "https://b.example")
    done = run("--config.check")
    assert (done.code, done.output, done.errors) == (0, "The configuration is valid: 2 portals\n", [])


def test_three_mistakes_are_told_with_their_paths(run: Callable[..., Outcome]) -> None:
    path = ROOT / "tests" / "unit" / "config" / "configs" / "three_mistakes.yml"
    done = run("--config.check", f"--config.file={path}")
    assert (done.code, done.output) == (1, "")
    assert done.errors == [
        f"docspace-exporter: {path}: {error}"
        for error in (
            "poll_intervall: unknown field; did you mean poll_interval?",
            "portals[0].poll_interval: is not a duration: write it with its unit, such as 30s, 5m or 1h30m",
            "portals[1].api_key_flie: unknown field; did you mean api_key_file?",
        )
    ]


def test_mistakes_of_both_configurations_are_told_in_one_run(
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


def test_files_that_cannot_be_used_are_mistakes_of_the_check(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
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


def test_files_are_checked_though_the_configuration_has_mistakes(
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
        "[2].api_key_file: is missing: name the file that holds the portal's API key",
        "[0].api_key_file: cannot read absent: No such file or directory",
        "[1].tls_config: cannot use absent.crt: No such file or directory",
    ]


def test_a_missing_key_file_does_not_keep_the_other_portals_from_being_watched(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    with FaultyPortal(answer()) as portal:
        write_config(tmp_path, portal.url)
        with (tmp_path / "config.yaml").open("a") as file:
            file.write(f"  - {{url: '{portal.url}', name: keyless, api_key_file: absent}}\n")
        done = run("--once")
    found = samples(done.output)
    assert values(found, "docspace_up", "portal") == {("p0",): 1, ("keyless",): 0}
    assert values(found, "docspace_poll_failures_total", "portal", "reason")["keyless", "credentials"] == 1


def test_a_portal_of_the_environment_is_polled_and_no_file_is_read(
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
    ((loaded),) = values(found, "docspace_exporter_config_last_reload_success_timestamp_seconds").values()
    assert loaded == pytest.approx(time.time(), abs=60)


def test_a_url_of_the_environment_and_a_file_contradict_each_other(run: Callable[..., Outcome]) -> None:
    done = run("--once", "--config.file=config.yaml", DOCSPACE_URL="https://acme.example")
    assert done.code == 1
    assert done.errors == ["docspace-exporter: DOCSPACE_URL and --config.file are both set: remove one"]


def test_a_key_of_the_environment_without_a_url_is_told(run: Callable[..., Outcome]) -> None:
    done = run("--once", DOCSPACE_API_KEY=SECRET)
    assert done.code == 1
    assert done.errors == [
        "docspace-exporter: DOCSPACE_URL is missing: set it to the URL of the portal that the key is for"
    ]


def test_once_exits_1_when_a_poll_failed_and_prints_all(run: Callable[..., Outcome], tmp_path: Path) -> None:
    with FaultyPortal(answer()) as good, FaultyPortal(answer(401)) as bad:
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
    with FaultyPortal(answer(body=body)) as portal:
        config = write_config(tmp_path, portal.url)
        with processes.exporter(tmp_path, f"--config.file={config}") as program:
            wait_for(lambda: program.answers("/-/ready"), "the first poll")
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


def test_an_address_that_is_none_is_a_wrong_flag(run: Callable[..., Outcome]) -> None:
    done = run("--demo", "--web.listen-address=nonsense")
    assert (done.code, done.output, len(done.errors)) == (2, "", 1)
    assert "write host:port, :port or [v6]:port" in done.errors[0]


@pytest.mark.parametrize("flag", ["--once", "--config.check"])
def test_output_that_cannot_be_written_is_told_in_a_line(flag: str) -> None:
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


def test_a_port_that_is_taken_is_told_in_a_line(run: Callable[..., Outcome], tmp_path: Path) -> None:
    write_config(tmp_path, "https://acme.example")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(f"--web.listen-address={address}")
    assert (done.code, done.output) == (1, "")
    assert done.errors == [
        f"docspace-exporter: cannot listen on {address}: Address already in use: choose --web.listen-address"
    ]


@pytest.mark.parametrize("flag", ["--once", "--config.check"])
def test_a_closed_stdout_is_told_in_a_line(flag: str) -> None:
    command = ["sh", "-c", '"$@" >&-', "sh", *EXPORTER, "--demo", flag]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "docspace-exporter: cannot write to stdout: it is closed"


def test_a_closed_stderr_costs_the_words_only() -> None:
    command = ["sh", "-c", '"$@" 2>&-', "sh", *EXPORTER, "--demo", "--once"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert values(samples(done.stdout), "docspace_up", "portal") == {("demo",): 1}


def test_a_host_that_cannot_be_is_told_in_a_line(run: Callable[..., Outcome], tmp_path: Path) -> None:
    write_config(tmp_path, "https://acme.example")
    done = run("--web.listen-address=a..b:9000")
    assert done.code == 1
    assert done.errors == [
        "docspace-exporter: cannot listen on a..b:9000: it is no name of a host: choose --web.listen-address"
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_program_starts_ends_it_without_a_word(number: signal.Signals) -> None:
    command = [*EXPORTER, "--demo", "--web.listen-address=127.0.0.1:0"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_for(lambda: heeds(process.pid, number), "the program to heed the signal")
        process.send_signal(number)
        assert process.wait(timeout=3) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def heeds(pid: int, number: signal.Signals) -> bool:
    """Tell whether a process has a handler of its own for a signal, which SIGINT has from Python on."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught, blocked = (
        int(re.findall(rf"^{name}:\t(\w+)", status, re.MULTILINE)[0], 16) for name in ("SigCgt", "SigBlk")
    )
    return bool(caught >> number - 1 & 1 and blocked >> signal.SIGHUP - 1 & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_at_once_though_a_poll_hangs(
    number: signal.Signals, tmp_path: Path
) -> None:
    with FaultyPortal(hang) as portal:
        config = write_config(tmp_path, portal.url)
        with processes.exporter(tmp_path, f"--config.file={config}") as exporter:
            wait_for(lambda: portal.heads, "the poll to begin")
            with socket.create_connection(("127.0.0.1", int(exporter.url.rpartition(":")[2]))) as idle:
                idle.sendall(b"GET /metrics")
                exporter.process.send_signal(number)
                assert exporter.process.wait(timeout=2) == 0
            assert "Traceback" not in exporter.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_more_signals_change_nothing_when_the_program_stops(number: signal.Signals, tmp_path: Path) -> None:
    with processes.exporter(tmp_path, "--demo") as exporter:
        wait_for(lambda: exporter.answers("/-/ready"), "the first poll")
        while exporter.process.poll() is None:
            exporter.process.send_signal(number)
            time.sleep(0.001)
        assert exporter.process.returncode == 0
    assert "Traceback" not in exporter.log


def test_a_hangup_while_the_program_starts_waits_until_it_can_reload(tmp_path: Path) -> None:
    with FaultyPortal(answer()) as portal:
        write_config(tmp_path, portal.url)
        command = [*EXPORTER, "--web.listen-address=127.0.0.1:0"]
        errors = tmp_path / "errors"
        with (
            errors.open("wb") as file,
            subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=file) as process,
        ):
            wait_for(lambda: heeds(process.pid, signal.SIGTERM), "the program to heed signals")
            process.send_signal(signal.SIGHUP)
            wait_for(lambda: errors.read_text().count("Configuration loaded") == 2, "the reload")
            process.terminate()
            assert process.wait(timeout=3) == 0


def test_a_flood_of_hangups_is_borne(tmp_path: Path) -> None:
    with processes.exporter(tmp_path, "--demo") as exporter:
        for _ in range(20_000):
            exporter.process.send_signal(signal.SIGHUP)
        assert exporter.answers("/-/healthy")
        exporter.process.terminate()
        assert exporter.process.wait(timeout=3) == 0
    assert "Traceback" not in exporter.log


def test_a_hangup_reloads_the_configuration_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    with FaultyPortal(answer()) as first, FaultyPortal(answer()) as second:
        config = write_config(tmp_path, first.url)
        with processes.exporter(tmp_path, f"--config.file={config}") as exporter:

            def metric(name: str, *labels: str) -> dict[tuple[str, ...], float]:
                return values(samples(requests.get(exporter.url + "/metrics", timeout=5).text), name, *labels)

            wait_for(lambda: exporter.answers("/-/ready"), "the first poll")
            config.write_text("portals: [{url: ftp://x, api_key: sk-1}]\nportal: 5\n")
            exporter.process.send_signal(signal.SIGHUP)
            wait_for(lambda: exporter.log.count("Configuration not reloaded") == 2, "two errors in the log")
            assert metric("docspace_exporter_config_last_reload_successful") == {(): 0}
            assert metric("docspace_up", "portal") == {("p0",): 1}
            write_config(tmp_path, first.url, second.url)
            exporter.process.send_signal(signal.SIGHUP)
            wait_for(lambda: metric("docspace_up", "portal").keys() == {("p0",), ("p1",)}, "the new portal")
            assert metric("docspace_exporter_config_last_reload_successful") == {(): 1}
            assert metric("docspace_poll_duration_seconds_count", "portal") == {("p0",): 1, ("p1",): 1}


def test_the_log_is_logfmt_a_line_an_event_from_its_level_up(tmp_path: Path) -> None:
    with FaultyPortal(answer(500)) as portal:
        config = write_config(tmp_path, portal.url, poll_interval="300ms")
        with processes.exporter(tmp_path, f"--config.file={config}", "--log.level=info") as exporter:
            wait_for(lambda: len(portal.heads) > 3, "several polls")
    time_ = r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    lines = exporter.log.splitlines()
    assert all(re.match(rf'{time_} level=(info|warn) msg="?\w', line) for line in lines)
    assert sum("Poll failed" in line for line in lines) == 1
    assert [line for line in lines if "msg=Stopping" in line]


def test_the_demo_prints_the_url_of_its_portal_and_a_key(tmp_path: Path) -> None:
    with processes.exporter(tmp_path, "--demo") as exporter:
        told = re.search(r"A demo portal listens on (\S+) and accepts the key (\S+)\n", exporter.log)
        assert told is not None
        portal, key = told.groups()
        port = exporter.url.rpartition(":")[2]
        wait_for(lambda: f"Status page: http://localhost:{port}/ " in exporter.log, "the URL of the page")
        listed = requests.get(f"{portal}/api/2.0/keys", headers={"Authorization": f"Bearer {key}"}, timeout=5)
        wait_for(lambda: exporter.answers("/-/ready"), "the first poll")
        text = requests.get(exporter.url + "/metrics", timeout=5).text
    found = samples(text)
    assert listed.json()["count"] == len(values(found, "docspace_api_key_info", "id")) >= 12
    assert values(found, "docspace_up", "portal") == {("demo",): 1}
    assert values(found, "docspace_api_keys_complete", "portal") == {("demo",): 1}
    assert {"process_cpu_seconds_total", "python_info"} <= {name for name, _ in found}
