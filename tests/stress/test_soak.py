"""Twenty thousand polls and five thousand scrapes: what an exporter uses is the same after as before."""

import contextlib
import gzip
import itertools
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import yaml

from docspace_exporter.demo import DemoKey, DemoPortal, Response, sample_keys
from docspace_exporter.docspace.client import KEYS_PATH
from docspace_exporter.formats import Format
from tests.stress import proc
from tests.support import faulty_portal as faults
from tests.support.faulty_portal import FaultyPortal
from tests.support.portals import SECRET, envelope
from tests.support.processes import Program, exporter, wait_for

POLLS = 20_000
SCRAPES = 5_000
CHANGING_PORTALS = 30
FAILING_PORTALS = 10
GROWTH = 0.05
LONGEST = 480
"""Seconds that it may take."""


class ChangingPortal(DemoPortal):
    """A portal where a key is made, and another deleted, before each poll."""

    def __init__(self) -> None:
        super().__init__(sample_keys(datetime.now(UTC)))
        self.secret = self.keys[-1].secret
        self.polls = 0

    def respond(self, path: str, query: Mapping[str, str], authorization: str) -> Response:
        if path == KEYS_PATH:
            self.polls += 1
            own = self.keys[-1]
            created = DemoKey(name=f"key of poll {self.polls}", owner=own.owner, created=datetime.now(UTC))
            self.keys = [created, *self.keys[:12], own]
        return super().respond(path, query, authorization)


class FailingPortal(FaultyPortal):
    """A portal that fails in another way at each poll, and responses well now and then."""

    secret = SECRET
    _FAULTS = (
        faults.respond(),
        faults.respond(401),
        faults.respond(502, b"<h1>Bad gateway</h1>", Content_Type="text/html"),
        faults.respond(302, Location="https://another.example/"),
        faults.reset,
        faults.send_and_end(b"no HTTP\r\n\r\n"),
        faults.send_and_end(faults.http()[:-20]),
        faults.respond(body=envelope(None)),
        faults.respond(body=gzip.compress(b"[" * 1000), Content_Encoding="gzip"),
        faults.drip(b" " * 1000, faults.http(body=b"", Content_Length="1000")),
    )

    def __init__(self) -> None:
        super().__init__(self._fail)
        self.polls = 0

    def _fail(self, connection: socket.socket, head: str) -> None:
        self.polls += head.startswith(f"GET {KEYS_PATH} ")
        self._FAULTS[self.polls % len(self._FAULTS)](connection, head)


@dataclass(frozen=True)
class Usage:
    """What an exporter uses that has nothing to do."""

    polls: int
    megabytes: float
    threads: int
    descriptors: int

    def __str__(self) -> str:
        return (
            f"{self.polls:6} polls: {self.megabytes:.1f} MB, {self.threads} threads, "
            f"{self.descriptors} file descriptors"
        )


class Soak:
    """An exporter that is reloaded while portals change and fail, and clients connect and disconnect."""

    def __init__(
        self, program: Program, config_file: Path, portals: Sequence[ChangingPortal | FailingPortal]
    ) -> None:
        self._program = program
        self._config_file = config_file
        self._portals = portals

    @property
    def polls(self) -> int:
        return sum(portal.polls for portal in self._portals)

    def until(self, polls: int, scrapes: int) -> Usage:
        """Go on until there were so many polls, and as many more scrapes; returns what is used then."""
        deadline = time.monotonic() + LONGEST
        with ThreadPoolExecutor(2) as pool:
            clients = [pool.submit(self._be_clients, scrapes // 2) for _ in range(2)]
            for reload in itertools.count():
                write_config(self._config_file, self._portals, "200ms", reload)
                self._program.process.send_signal(signal.SIGHUP)
                time.sleep(1)
                if self.polls >= polls and all(client.done() for client in clients):
                    break
                assert time.monotonic() < deadline, f"only {self.polls} polls within {LONGEST} s"
            for client in clients:
                client.result()
        return self._usage_at_rest()

    def _be_clients(self, scrapes: int) -> None:
        """Scrape, and after every fifth scrape be three other clients."""
        formats = itertools.cycle(
            {"Accept": accept.value, "Accept-Encoding": encoding}
            for accept in Format
            for encoding in ("gzip", "identity")
        )
        with requests.Session() as session:
            for number in range(scrapes):
                response = session.get(f"{self._program.url}/metrics", headers=next(formats), timeout=30)
                assert response.status_code == 200
                assert "docspace_api_key_info{" in response.text
                if number % 5 == 0:
                    assert requests.get(self._program.url, timeout=30).status_code == 200
                    self._go_away(b"")
                    self._go_away(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n")

    def _go_away(self, sent: bytes) -> None:
        """Disconnect before the response arrives."""
        host, _, port = self._program.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=30) as client:
            client.sendall(sent)
            if sent:
                client.recv(1)

    def _usage_at_rest(self) -> Usage:
        write_config(self._config_file, self._portals, "1h")
        assert requests.post(f"{self._program.url}/-/reload", timeout=30).status_code == 200
        pid = self._program.process.pid
        seen: list[tuple[int, int]] = []

        def settled() -> bool:
            time.sleep(1)
            seen.append((proc.threads(pid), proc.file_descriptors(pid)))
            return len(seen) > 3 and len(set(seen[-3:])) == 1

        wait_for(settled, "the exporter at rest", timeout=60)
        return Usage(self.polls, proc.resident_megabytes(pid), *seen[-1])


def write_config(
    file: Path, portals: Sequence[ChangingPortal | FailingPortal], interval: str, reload: int = 0
) -> None:
    """Write a configuration in which every tenth portal changes with each reload; every fifth is broken."""
    listed = [
        {
            "url": portal.url,
            "api_key": portal.secret,
            "poll_timeout": "200ms",
            "labels": {"changes": str(reload if number % 10 == 0 else 0)},
        }
        for number, portal in enumerate(portals)
    ]
    config = {"poll_interval": interval, "portals": listed}
    file.write_text(yaml.safe_dump(config) if reload % 5 != 4 else "portals: {")


def test_memory_threads_and_descriptors_do_not_grow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config_file = tmp_path / "config.yaml"
    portals: list[ChangingPortal | FailingPortal] = [
        *(ChangingPortal() for _ in range(CHANGING_PORTALS)),
        *(FailingPortal() for _ in range(FAILING_PORTALS)),
    ]
    with contextlib.ExitStack() as stack:
        for portal in portals:
            stack.enter_context(portal)
        write_config(config_file, portals, "1h")
        program = stack.enter_context(
            exporter(tmp_path, f"--config.file={config_file}", "--web.enable-lifecycle")
        )
        wait_for(lambda: program.responds("/-/ready"), "the first polls", timeout=60)
        soak = Soak(program, config_file, portals)
        tenth = soak.until(POLLS // 10, SCRAPES // 10)
        usages = [tenth, soak.until(POLLS, SCRAPES - SCRAPES // 10)]
        if growth(usages) >= GROWTH:
            # What malloc keeps settles; what leaks goes on at the same pace.
            usages.append(soak.until(2 * POLLS, SCRAPES))
        end = usages[-1]
    with capsys.disabled():
        print("", *usages, f"growth of memory: {growth(usages):+.1%}", sep="\n")
    assert growth(usages) < GROWTH
    assert (end.threads, end.descriptors) == (tenth.threads, tenth.descriptors)


def growth(usages: Sequence[Usage]) -> float:
    """Return by how much memory grew from the last but one to the last."""
    return usages[-1].megabytes / usages[-2].megabytes - 1
