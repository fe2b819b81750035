"""Portals, replicas of the exporter, and the databases that scrape them, for the dashboard to be run on.

It is as bad as it gets: two portals have keys with the same ids, names and postfixes; each replica uses
another key; the exporter has just moved, and since then a key, an owner and the addresses of the portals have
changed.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import requests
import yaml

from docspace_exporter.demo import DemoKey, DemoPortal, User, sample_keys
from tests.support.dashboard import View
from tests.support.faulty_portal import FaultyPortal, respond
from tests.support.history import History
from tests.support.portals import envelope, record
from tests.support.processes import Program, exporter, prometheus, victoria_metrics, wait_for

DAYS = 2
NORTH, SOUTH, QUIET, LARGE, DOWN, VAGUE = "north", "south", "quiet", "large", "down", "vague"
PORTALS = (NORTH, SOUTH, QUIET, LARGE, DOWN, VAGUE)
MANY_OWNER = r'Many "M" (x) \ y/z $1'
MANY = 1000
EXCEPTED = "job 5"
"""Of `large`: may expire."""


@dataclass(frozen=True)
class Scene:
    """The databases by name. All contain the same."""

    databases: Mapping[str, Program]
    portals: Mapping[str, DemoPortal]
    exposed: str
    """What one of the exporters exposes."""
    now: float

    @property
    def keys(self) -> Sequence[DemoKey]:
        """The keys of `north`, and of `south` as well."""
        return self.portals[NORTH].keys

    def view(self, database: str, *portals: str, owners: Sequence[str] = ()) -> View:
        """Return a view of all the days, with these portals and owners selected."""
        return View(self.databases[database].url, self.now, DAYS * 86_400, 900, portals, owners)


@contextmanager
def playing(directory: Path) -> Iterator[Scene]:
    """Run it all; the days before now are backfilled."""
    start = datetime.now(UTC)
    keys, same_keys = sample_keys(start), sample_keys(start)
    for key, same_key in zip(keys, same_keys, strict=True):
        same_key.secret = key.secret
    with ExitStack() as stack:
        vague = stack.enter_context(FaultyPortal(respond(body=_vague_keys(start))))
        portals = {
            NORTH: stack.enter_context(DemoPortal(keys)),
            SOUTH: stack.enter_context(DemoPortal(same_keys)),
            QUIET: stack.enter_context(DemoPortal(sample_keys(start)[-1:])),
            LARGE: stack.enter_context(DemoPortal(_many_keys(start))),
        }
        first = [_portal(name, portal.url, portal.keys[-1]) for name, portal in portals.items()]
        first[-1]["exceptions"] = [{"name": EXCEPTED, "allow": ["expiry"], "reason": "ends with its job"}]
        first.append({"name": DOWN, "url": "http://127.0.0.1:1", "api_key": "sk-none"})
        first.append({"name": VAGUE, "url": vague.url, "api_key": "sk-none"})
        second = [
            _portal(name, portals[name].url, _of_name(portals[name], "admin console"))
            for name in (NORTH, SOUTH)
        ]
        second.append({"name": QUIET, "url": "http://127.0.0.1:1", "api_key": "sk-none"})
        replicas = [
            stack.enter_context(_exporter(directory / name, configured))
            for name, configured in (("first", first), ("second", second))
        ]
        exposed = requests.get(f"{replicas[0].url}/metrics", timeout=10).text
        history = History(
            _before_the_move(exposed, portals),
            time.time(),
            DAYS,
            {"job": "docspace", "instance": "moved:10059"},
        )
        databases = _databases(stack, directory, _scraping(replicas), history)
        yield Scene(databases, portals, exposed, time.time())


def _vague_keys(now: datetime) -> bytes:
    """Return a response with a key of which little more than its expiry in 2 days can be read."""
    expires = (now + timedelta(days=2)).isoformat()
    fields = {"permissions": 5, "lastUsed": 5, "createOn": 5, "createBy": 5, "isActive": "yes"}
    return envelope([record(expiresAt=expires, **fields)])


def _many_keys(now: datetime) -> list[DemoKey]:
    owner = User(MANY_OWNER, is_admin=True)
    created = now - timedelta(days=200)
    jobs = [
        DemoKey(
            name=f"job {number}",
            owner=owner,
            created=created,
            last_used=now - timedelta(hours=3 * number),
            expires=now + timedelta(hours=number + 1),
            active=number % 10 != 0,
        )
        for number in range(MANY - 1)
    ]
    return [*jobs, DemoKey(name="exporter", owner=owner, created=created)]


def _of_name(portal: DemoPortal, name: str) -> DemoKey:
    (key,) = (key for key in portal.keys if key.name == name)
    return key


def _portal(name: str, url: str, key: DemoKey) -> dict[str, Any]:
    return {"name": name, "url": url, "api_key": key.secret}


@contextmanager
def _exporter(directory: Path, portals: Sequence[Mapping[str, Any]]) -> Iterator[Program]:
    directory.mkdir()
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump({"poll_interval": "15s", "poll_timeout": "10s", "portals": portals}))
    with exporter(directory, f"--config.file={file}") as program:
        wait_for(lambda: program.responds("/-/ready"), "all portals polled")
        yield program


def _before_the_move(exposed: str, portals: Mapping[str, DemoPortal]) -> str:
    lines = [line for line in exposed.splitlines(keepends=True) if f'portal="{LARGE}"' not in line]
    then = "".join(lines).replace("CRM sync", "CRM import").replace("Carla Gómez", "Carla Díaz")
    for name in (NORTH, SOUTH):
        then = then.replace(portals[name].url, f"https://{name}.old.example")
    return then


def _scraping(replicas: Sequence[Program]) -> dict[str, Any]:
    targets = [replica.url.removeprefix("http://") for replica in replicas]
    job = {"job_name": "docspace", "static_configs": [{"targets": targets}]}
    return {"global": {"scrape_interval": "2s", "scrape_timeout": "2s"}, "scrape_configs": [job]}


def _databases(
    stack: ExitStack, directory: Path, scraping: Mapping[str, Any], history: History
) -> dict[str, Program]:
    history.backfill_prometheus(directory / "data")
    databases = {
        "Prometheus": stack.enter_context(prometheus(directory, scraping)),
        "VictoriaMetrics": stack.enter_context(victoria_metrics(directory, scraping)),
    }
    history.backfill_victoria_metrics(databases["VictoriaMetrics"].url)
    for name, database in databases.items():
        wait_for(partial(_complete, database.url), f"{name} has scraped both replicas")
    return databases


def _complete(url: str) -> bool:
    """Return whether the history and both replicas are there."""

    def count(expr: str) -> float:
        now = time.time()
        return sum(series.last for series in View(url, now, 0, 1).instant(expr))

    return (
        count(f'count(docspace_up{{portal="{NORTH}"}})') == 3
        and count(f'count(docspace_api_key_info{{portal="{LARGE}"}})') == MANY
        and count(f'count(docspace_up{{portal="{SOUTH}"}} offset {DAYS - 1}d)') == 1
    )
