"""The programs that are measured, as processes of their own on free ports; what the kernel says of them."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
import yaml

from bench.client import Scraper

ROOT = Path(__file__).parents[1]
_EXPORTER = (sys.executable, str(ROOT / "exporter.py"), "--web.listen-address=127.0.0.1:0")
_LISTENING = re.compile(r"address=(\S+)")
_TICKS = os.sysconf("SC_CLK_TCK")


class Portals:
    """Running portals."""

    def __init__(self, urls: Sequence[str]) -> None:
        *self.urls, self._arrivals_url = urls

    def arrivals(self) -> list[list[float]]:
        """Return, for each portal, when its keys were asked for, in monotonic seconds."""
        with urllib.request.urlopen(self._arrivals_url) as response:
            return list(json.load(response))


class Program:
    """A running program that serves `url`."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._pid = process.pid
        self.url = url

    def wait_until_polled(self, portals: int = 1) -> None:
        """Return once the exporter exposes a poll of so many portals."""
        with Scraper(self.url) as scraper:
            wait_for(lambda: scraper.text().count(b"\ndocspace_up{") >= portals, f"{portals} portals exposed")

    def cpu_seconds(self) -> float:
        """Return the CPU time that the program has taken, in steps of 10 ms."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident(self) -> int:
        """Return the bytes of memory that the program holds."""
        return self._status("VmRSS") * 1024

    def peak_resident(self) -> int:
        """Return the most that the program has held, in bytes."""
        return self._status("VmHWM") * 1024

    def threads(self) -> int:
        """Return the number of threads that the program has."""
        return self._status("Threads")

    def _status(self, field: str) -> int:
        status = Path(f"/proc/{self._pid}/status").read_text()
        return int(status.partition(f"{field}:")[2].split()[0])


@contextlib.contextmanager
def portals(keys: int, count: int = 1, hanging: int = 0) -> Iterator[Portals]:
    """Run portals of so many keys each; the last `hanging` of them never respond."""
    command = (sys.executable, "-m", "bench.portal", str(keys), str(count), str(hanging))
    with _process(command, stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise RuntimeError("the portals' output is lost")
        yield Portals(json.loads(process.stdout.readline()))


@contextlib.contextmanager
def exporter(portal_urls: Sequence[str], interval: float = 3600) -> Iterator[Program]:
    """Run the exporter, which polls each portal at once and then every `interval` seconds."""
    polled = [
        {"name": f"portal-{number:03}", "url": url, "api_key": "sk-bench"}
        for number, url in enumerate(portal_urls)
    ]
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "config.yaml")
        config.write_text(yaml.safe_dump({"poll_interval": f"{interval * 1000:.0f}ms", "portals": polled}))
        with _serving((*_EXPORTER, f"--config.file={config}"), Path(directory, "log")) as program:
            yield program


@contextlib.contextmanager
def demo() -> Iterator[Program]:
    """Run the exporter with its demo portal."""
    with (
        tempfile.TemporaryDirectory() as directory,
        _serving((*_EXPORTER, "--demo"), Path(directory, "log")) as program,
    ):
        yield program


@contextlib.contextmanager
def library_app(portal_url: str) -> Iterator[Program]:
    """Run prometheus-client's own ASGI application on the same collector, on the same server."""
    command = (sys.executable, "-m", "bench.library", "app", portal_url)
    with tempfile.TemporaryDirectory() as directory, _serving(command, Path(directory, "log")) as program:
        yield program


@contextlib.contextmanager
def library_poll(portal_url: str) -> Iterator[Callable[[], float]]:
    """Yield a function that measures a plain request and rendering, in CPU seconds."""
    command = (sys.executable, "-m", "bench.library", "poll", portal_url)
    with _process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        orders, results = process.stdin, process.stdout
        if orders is None or results is None:
            raise RuntimeError("no way to talk to the process")

        def measure() -> float:
            orders.write(b"\n")
            orders.flush()
            return float(results.readline())

        yield measure


@contextlib.contextmanager
def prometheus(directory: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """Run Prometheus, with its data in `directory / "data"`; yields its address."""
    file = directory / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    command = (
        *("prometheus", f"--config.file={file}", f"--storage.tsdb.path={directory}/data"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"),
    )
    url = f"http://127.0.0.1:{port}"
    with _process(command) as process:
        wait_for(lambda: accepts(port), "Prometheus listening")
        wait_for(lambda: requests.get(f"{url}/-/ready", timeout=30).ok, "Prometheus ready")
        yield url
        process.terminate()
        process.wait()


@contextlib.contextmanager
def nginx(text: bytes) -> Iterator[Program]:
    """Run nginx, which serves a text as a file and compresses it."""
    with tempfile.TemporaryDirectory() as directory:
        # Started by root, it serves as nobody.
        Path(directory).chmod(0o755)
        Path(directory, "metrics").write_bytes(text)
        port = free_port()
        Path(directory, "nginx.conf").write_text(_NGINX % {"directory": directory, "port": port})
        command = (
            nginx_path(),
            "-p",
            directory,
            "-c",
            f"{directory}/nginx.conf",
            "-e",
            f"{directory}/error.log",
        )
        with _process(command) as process:
            wait_for(lambda: accepts(port), "nginx listening")
            yield Program(process, f"http://127.0.0.1:{port}/metrics")


_NGINX = """
daemon off;
worker_processes 1;
pid %(directory)s/pid;
events {}
http {
    access_log off;
    client_body_temp_path %(directory)s/body;
    proxy_temp_path %(directory)s/proxy;
    fastcgi_temp_path %(directory)s/fastcgi;
    uwsgi_temp_path %(directory)s/uwsgi;
    scgi_temp_path %(directory)s/scgi;
    default_type text/plain;
    gzip on;
    gzip_comp_level 1;
    gzip_types text/plain;
    sendfile on;
    server {
        listen 127.0.0.1:%(port)d;
        root %(directory)s;
    }
}
"""


def nginx_path() -> str:
    """Return where nginx is: on Debian it is usually not on PATH."""
    path = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if path is None:
        raise FileNotFoundError("nginx is not installed: run `make tools`")
    return path


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Return whether something listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
    """Return once `condition` is true; raises TimeoutError that says what never came."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(0.005)


@contextlib.contextmanager
def _serving(command: Sequence[str], log: Path) -> Iterator[Program]:
    """Run a program that logs the address it listens on; yields it once it accepts connections."""
    with log.open("wb") as output, _process(command, stderr=output) as process:
        wait_for(lambda: _listening(log) is not None, f"{command} listening")
        address = _listening(log) or ""
        wait_for(lambda: accepts(int(address.rpartition(":")[2])), f"{command} accepting connections")
        yield Program(process, f"http://{address}/metrics")


def _listening(log: Path) -> str | None:
    match = _LISTENING.search(log.read_text())
    return match[1] if match else None


@contextlib.contextmanager
def _process(command: Sequence[str], **streams: object) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, cwd=ROOT, **streams) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.terminate()
