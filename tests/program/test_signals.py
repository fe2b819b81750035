"""What signals do to the program: stop it at once, or reload the configuration."""

import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

from tests.support import processes
from tests.support.command import EXPORTER, write_config
from tests.support.faulty_portal import FaultyPortal, hang, respond
from tests.support.processes import wait_for
from tests.support.samples import samples, values


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_startup_ends_the_program_silently(number: signal.Signals) -> None:
    command = [*EXPORTER, "--demo", "--web.listen-address=127.0.0.1:0"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_for(lambda: handles(process.pid, number), "the program to heed the signal")
        process.send_signal(number)
        assert process.wait(timeout=3) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def handles(pid: int, number: signal.Signals) -> bool:
    """Return whether a process has a handler of its own for a signal, which SIGINT has from Python on."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught, blocked = (
        int(re.findall(rf"^{name}:\t(\w+)", status, re.MULTILINE)[0], 16) for name in ("SigCgt", "SigBlk")
    )
    return bool(caught >> number - 1 & 1 and blocked >> signal.SIGHUP - 1 & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_even_if_a_poll_hangs(number: signal.Signals, tmp_path: Path) -> None:
    with FaultyPortal(hang) as portal:
        config = write_config(tmp_path, portal.url)
        with processes.exporter(tmp_path, f"--config.file={config}") as exporter:
            wait_for(lambda: portal.requests, "the poll to begin")
            with socket.create_connection(("127.0.0.1", int(exporter.url.rpartition(":")[2]))) as idle:
                idle.sendall(b"GET /metrics")
                exporter.process.send_signal(number)
                assert exporter.process.wait(timeout=2) == 0
            assert "Traceback" not in exporter.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_further_signals_change_nothing_while_the_program_stops(
    number: signal.Signals, tmp_path: Path
) -> None:
    with processes.exporter(tmp_path, "--demo") as exporter:
        wait_for(lambda: exporter.responds("/-/ready"), "the first poll")
        while exporter.process.poll() is None:
            exporter.process.send_signal(number)
            time.sleep(0.001)
        assert exporter.process.returncode == 0
    assert "Traceback" not in exporter.log


def test_a_sighup_during_startup_waits_until_the_program_can_reload(tmp_path: Path) -> None:
    with FaultyPortal(respond()) as portal:
        write_config(tmp_path, portal.url)
        command = [*EXPORTER, "--web.listen-address=127.0.0.1:0"]
        errors = tmp_path / "errors"
        with (
            errors.open("wb") as file,
            subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stderr=file) as process,
        ):
            wait_for(lambda: handles(process.pid, signal.SIGTERM), "the program to heed signals")
            process.send_signal(signal.SIGHUP)
            wait_for(lambda: errors.read_text().count("Configuration loaded") == 2, "the reload")
            process.terminate()
            assert process.wait(timeout=3) == 0


def test_the_program_survives_a_flood_of_sighups(tmp_path: Path) -> None:
    with processes.exporter(tmp_path, "--demo") as exporter:
        for _ in range(20_000):
            exporter.process.send_signal(signal.SIGHUP)
        assert exporter.responds("/-/healthy")
        exporter.process.terminate()
        assert exporter.process.wait(timeout=3) == 0
    assert "Traceback" not in exporter.log


def test_a_sighup_reloads_the_configuration_and_an_invalid_one_changes_nothing(tmp_path: Path) -> None:
    with FaultyPortal(respond()) as first, FaultyPortal(respond()) as second:
        config = write_config(tmp_path, first.url)
        with processes.exporter(tmp_path, f"--config.file={config}") as exporter:

            def metric(name: str, *labels: str) -> dict[tuple[str, ...], float]:
                return values(samples(requests.get(exporter.url + "/metrics", timeout=5).text), name, *labels)

            wait_for(lambda: exporter.responds("/-/ready"), "the first poll")
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
