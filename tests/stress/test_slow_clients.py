"""Hundreds of slow or hasty clients at once, and one real scrape a second, which must not be delayed."""

import contextlib
import gzip
import http.client
import json
import resource
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from docspace_exporter.demo import DemoKey, DemoPortal, User
from tests.stress import burst_clients, proc, slow_clients
from tests.support.processes import exporter, wait_for

SECONDS = 60
KEYS = 10_000
BURSTS, BURST = 10, 500
OFFERS = ("Upgrade: h2c", "Upgrade: websocket", "Upgrade: TLS/1.2, foo/2")
SCRAPE_TIMEOUT = 10.0
"""Seconds; Prometheus' default."""


@dataclass(frozen=True)
class Attack:
    kind: str
    """One of those that `slow_clients` knows."""
    clients: int
    tls: bool

    @property
    def name(self) -> str:
        return f"{self.clients} clients, {self.kind}, {'TLS' if self.tls else 'plain'}"


@dataclass(frozen=True)
class Outcome:
    attack: Attack
    scrapes: Sequence[float]
    """Seconds that each honest scrape took."""
    descriptors: int
    """File descriptors at the end beyond those at the start."""
    megabytes: float
    """Peak memory."""

    def __str__(self) -> str:
        return (
            f"{self.attack.name:<36} {len(self.scrapes)} scrapes: "
            f"median {statistics.median(self.scrapes):.3f} s, worst {max(self.scrapes):.3f} s; "
            f"descriptors {self.descriptors:+}; peak {self.megabytes:.0f} MB"
        )


@dataclass(frozen=True)
class Server:
    """The exporter as a scraper sees it."""

    pid: int
    port: int
    authority_file: Path | None
    """What to trust, for TLS."""

    def scrape(self) -> bytes:
        """Scrape as Prometheus does, over a connection of its own."""
        connection: http.client.HTTPConnection
        if self.authority_file:
            tls = ssl.create_default_context(cafile=self.authority_file)
            connection = http.client.HTTPSConnection("localhost", self.port, timeout=30, context=tls)
        else:
            connection = http.client.HTTPConnection("localhost", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
            response = connection.getresponse()
            body = response.read()
        assert response.status == 200, body
        return gzip.decompress(body)


@pytest.fixture(scope="module", autouse=True)
def _room_for_sockets() -> Iterator[None]:
    """Allow the programs that are started here a socket for each client."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def large_portal() -> Iterator[DemoPortal]:
    now = datetime.now(UTC)
    owner = User("Ann O'Neil", is_admin=True)
    keys = [
        DemoKey(
            name=f"backup job {number}",
            owner=owner,
            created=now - timedelta(days=number % 300),
            last_used=now - timedelta(hours=number % 900),
            expires=now + timedelta(hours=number % 4000 + 1),
            permissions=("*:read",),
        )
        for number in range(KEYS)
    ]
    with DemoPortal(keys) as portal:
        yield portal


def test_clients_that_send_nothing_delay_no_scrape_and_keep_no_socket(
    demo_portal: DemoPortal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = outcomes_of(
        (
            Attack("silent", 500, tls=False),
            Attack("silent", 500, tls=True),
            Attack("no handshake", 500, tls=True),
            Attack("half a request", 500, tls=False),
            Attack("half a request", 500, tls=True),
        ),
        demo_portal,
        tmp_path,
    )
    with capsys.disabled():
        print("", *outcomes, sep="\n")
    assert [outcome for outcome in outcomes if not held_up_nothing(outcome)] == []


def test_clients_that_never_read_delay_no_scrape_and_keep_no_socket(
    large_portal: DemoPortal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # One after the other: together their scrapes would wait for each other, not for the attackers.
    outcomes = [
        outcome_of(attack, large_portal, tmp_path / attack.name)
        for attack in (Attack("never reading", 200, tls=False), Attack("never reading", 200, tls=True))
    ]
    with capsys.disabled():
        print("", *outcomes, sep="\n")
    assert [outcome for outcome in outcomes if not held_up_nothing(outcome)] == []


def test_bursts_of_clients_cost_nobody_a_scrape(
    large_portal: DemoPortal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(large_portal, False, tmp_path / "bursts") as server, ThreadPoolExecutor(1) as others:
        statuses = others.submit(bursts, server, BURSTS, SECONDS / BURSTS)
        scrapes = list(scrapes_every_second(server))
    with capsys.disabled():
        print(f"\n{BURSTS} bursts of {BURST} clients: worst of {len(scrapes)} scrapes {max(scrapes):.3f} s")
    assert statuses.result() == [{"200": BURST}] * BURSTS
    assert max(scrapes) < SCRAPE_TIMEOUT


def test_offers_to_switch_protocols_are_ignored(
    demo_portal: DemoPortal, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses = {}
    with running(demo_portal, False, tmp_path / "offers") as server:
        for offer in OFFERS:
            headers = ("Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__", offer)
            (statuses[offer],) = bursts(server, 1, 0, 200, headers)
    with capsys.disabled():
        print("", *statuses.items(), sep="\n")
    assert statuses == {offer: {"200": 200} for offer in OFFERS}


def bursts(
    server: Server,
    count: int,
    seconds: float,
    clients: int = BURST,
    headers: Sequence[str] = ("Connection: close",),
) -> Sequence[Mapping[str, int]]:
    """Return how many clients got each status, for each burst; each comes so many seconds after the last."""
    command = [sys.executable, burst_clients.__file__, str(clients), str(server.port), *headers]
    statuses = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        begun = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, begun + number * seconds - time.monotonic()))
            process.stdin.write("now\n")
            process.stdin.flush()
            statuses.append(json.loads(process.stdout.readline()))
        process.stdin.close()
    return statuses


def held_up_nothing(outcome: Outcome) -> bool:
    longest = 2 if outcome.attack.tls else 1
    # One may meet a pause of the machine, which others use too.
    slow = sum(seconds >= longest for seconds in outcome.scrapes)
    return slow <= 1 and outcome.descriptors <= 50 and outcome.megabytes < 400


def outcomes_of(attacks: Sequence[Attack], portal: DemoPortal, folder: Path) -> Sequence[Outcome]:
    """Attack an exporter each, all at the same time."""
    with ThreadPoolExecutor(len(attacks)) as pool:
        return list(pool.map(lambda attack: outcome_of(attack, portal, folder / attack.name), attacks))


def outcome_of(attack: Attack, portal: DemoPortal, folder: Path) -> Outcome:
    """Attack an exporter, and look at it while the attack still goes on."""
    with running(portal, attack.tls, folder) as server:
        keys = server.scrape().count(b"docspace_api_key_active{")
        assert keys == len(portal.keys)
        before = proc.file_descriptors(server.pid)
        with held(attack, server):
            scrapes = list(scrapes_every_second(server))
            after = proc.file_descriptors(server.pid)
        return Outcome(attack, scrapes, after - before, proc.peak_megabytes(server.pid))


def scrapes_every_second(server: Server) -> Iterator[float]:
    """Yield the seconds that each of the scrapes took."""
    begun = time.monotonic()
    for second in range(1, SECONDS + 1):
        time.sleep(max(0.0, begun + second - time.monotonic()))
        before = time.monotonic()
        server.scrape()
        yield time.monotonic() - before


@contextlib.contextmanager
def held(attack: Attack, server: Server) -> Iterator[None]:
    """Let the clients of an attack connect, in a process of their own, and hold on until this ends."""
    command = [sys.executable, slow_clients.__file__, attack.kind, str(attack.clients), str(server.port)]
    if server.authority_file:
        command.append(str(server.authority_file))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as clients:
        assert clients.stdin
        assert clients.stdout
        assert clients.stdout.readline() == b"connected\n"
        yield
        clients.stdin.close()
        assert clients.wait(timeout=30) == 0


@contextlib.contextmanager
def running(portal: DemoPortal, tls: bool, folder: Path) -> Iterator[Server]:
    """Run an exporter of a portal that has been polled once."""
    folder.mkdir()
    (folder / "config.yaml").write_text(
        f"portals: [{{url: '{portal.url}', api_key: {portal.keys[-1].secret}}}]"
    )
    flags = [f"--config.file={folder / 'config.yaml'}"]
    authority_file = None
    if tls:
        authority = trustme.CA()
        authority_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(authority_file)
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        (folder / "web.yaml").write_text("tls_server_config: {cert_file: server.pem, key_file: server.pem}")
        flags.append(f"--web.config.file={folder / 'web.yaml'}")
    with exporter(folder, *flags) as program:
        server = Server(program.process.pid, int(program.url.rpartition(":")[2]), authority_file)
        wait_for(lambda: b"\ndocspace_up{" in server.scrape(), "the first poll")
        yield server
