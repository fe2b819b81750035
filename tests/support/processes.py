"""The programs that tests run as processes: on free ports, waited for, ended with the test.

A tool that is missing fails the test that needs it, with FileNotFoundError.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import requests
import yaml

ROOT = Path(__file__).parents[2]
_LISTENING = re.compile(r'msg="?Listening(?: on"|) address=(\S+)')

T = TypeVar("T")

Database = Callable[[Path, Mapping[str, Any]], contextlib.AbstractContextManager["Program"]]
"""Runs a database that scrapes as a configuration says."""


def wait_for(condition: Callable[[], T | None], what: str, timeout: float = 60) -> T:
    """Return the first truthy value of `condition`; raises AssertionError that says what never came."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(0.05)
    return value


@dataclass(frozen=True)
class Program:
    """A running program."""

    process: subprocess.Popen[bytes]
    log_file: Path
    """What it writes on stdout and stderr."""
    url: str
    """Where it listens, without a slash at the end."""

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self.log_file.read_text(errors="replace")

    def responds(self, path: str) -> bool:
        """Return whether it responses 200 on a path."""
        try:
            return requests.get(self.url + path, timeout=5).status_code == 200
        except requests.ConnectionError:
            return False


@contextlib.contextmanager
def exporter(directory: Path, *flags: str, environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run the exporter, listening but not necessarily ready; `directory` keeps its log."""
    command = (sys.executable, str(ROOT / "exporter.py"), "--web.listen-address=127.0.0.1:0", *flags)
    with _started(command, directory / "exporter.log", environment) as (process, log):
        yield Program(process, log, _logged_url(process, log))


@contextlib.contextmanager
def prometheus(directory: Path, config: Mapping[str, Any], *flags: str) -> Iterator[Program]:
    """Run Prometheus, ready to response, with its data in `directory / "data"`; blocks there are kept."""
    file = _write_config(directory / "prometheus.yml", config)
    command = (
        "prometheus",
        f"--config.file={file}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--storage.tsdb.retention.time=10y",
        "--web.listen-address=127.0.0.1:0",
        *flags,
    )
    with _started(command, directory / "prometheus.log") as (process, log):
        program = Program(process, log, _logged_url(process, log))
        wait_for(lambda: program.responds("/-/ready"), "Prometheus ready")
        yield program


@contextlib.contextmanager
def alertmanager(directory: Path, config: Mapping[str, Any]) -> Iterator[Program]:
    """Run Alertmanager, ready for alerts, with the shipped templates beside its configuration."""
    file = _write_config(directory / "alertmanager.yml", config)
    shutil.copy(ROOT / "prometheus" / "notification.tmpl", directory)
    command = (
        "prometheus-alertmanager",
        f"--config.file={file}",
        f"--storage.path={directory / 'alertmanager'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    )
    with _started(command, directory / "alertmanager.log") as (process, log):
        program = Program(process, log, _logged_url(process, log))
        wait_for(lambda: program.responds("/-/ready"), "Alertmanager ready")
        yield program


@contextlib.contextmanager
def victoria_metrics(directory: Path, config: Mapping[str, Any]) -> Iterator[Program]:
    """Run VictoriaMetrics, ready to take samples and to response; `config` says what it scrapes."""
    file = _write_config(directory / "scrape.yml", config)
    address = f"127.0.0.1:{free_port()}"
    command = (
        "victoria-metrics",
        f"-httpListenAddr={address}",
        f"-promscrape.config={file}",
        f"-storageDataPath={directory / 'victoria-metrics'}",
        "-retentionPeriod=10y",
        "-search.latencyOffset=0s",
    )
    with _started(command, directory / "victoria-metrics.log") as (process, log):
        program = Program(process, log, f"http://{address}")
        wait_for(lambda: program.responds("/health"), "VictoriaMetrics ready")
        yield program


@contextlib.contextmanager
def _started(
    command: tuple[str, ...], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a command in the directory of its log, and end it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=log.parent,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield process, log
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def _logged_url(process: subprocess.Popen[bytes], log: Path) -> str:
    def listening() -> re.Match[str] | None:
        text = log.read_text(errors="replace")
        assert process.poll() is None, f"{process.args!r} ended: {text}"
        return _LISTENING.search(text)

    return f"http://{wait_for(listening, f'{process.args!r} listening')[1]}"


def _write_config(file: Path, config: Mapping[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(dict(config)))
    return file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
