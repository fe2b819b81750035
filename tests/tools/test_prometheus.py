"""Prometheus scrapes the exporter while a portal changes and fails."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from docspace_exporter.demo import DemoKey, DemoPortal, User, sample_keys
from docspace_exporter.docspace.decode import TEXT_LIMIT
from tests.support import processes
from tests.support.faulty_portal import Behaviour, FaultyPortal, http
from tests.support.processes import Program, wait_for
from tests.support.samples import samples

NASTY_NAMES = {
    'quotes " and \\ backslashes \\n': 'quotes " and \\ backslashes \\n',
    'of the format } 1 # EOF\n# HELP {a="b"} 5': 'of the format } 1 # EOF\ufffd# HELP {a="b"} 5',
    "control \0\t\r\x1b\x7f\x85 characters": "control " + "\ufffd" * 6 + " characters",
    "separators \u2028\u2029\u00a0": "separators \u2028\u2029\u00a0",
    "<b>bold</b> &amp; \u202eright to left": "<b>bold</b> &amp; \u202eright to left",
    "🔑" * 300: "🔑" * TEXT_LIMIT,
}


@dataclass
class Scene:
    """A portal, the exporter that polls it every second, and the Prometheus that scrapes that."""

    portal: DemoPortal
    exporter: Program
    prometheus: Program

    def stop_portal(self) -> None:
        self.portal.__exit__()

    def start_portal(self) -> None:
        """Start the portal again where it was."""
        port = int(self.portal.url.rpartition(":")[2])
        self.portal = DemoPortal(self.portal.keys, port).__enter__()

    def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Return the series of an instant query, with their values."""
        response = requests.get(
            self.prometheus.url + "/api/v1/query", params={"query": expr}, timeout=10
        ).json()
        assert response["status"] == "success", response
        return [(series["metric"], float(series["value"][1])) for series in response["data"]["result"]]

    def value(self, expr: str) -> float | None:
        """Return the one value of a query; None where there is none."""
        found = self.query(expr)
        assert len(found) <= 1
        return found[0][1] if found else None


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    now = datetime.now(UTC)
    keys = sample_keys(now)
    owner = User("Ann O'Neil")
    keys[:0] = [DemoKey(name=name, owner=owner, created=now) for name in NASTY_NAMES]
    keys.insert(0, DemoKey(id="", name="a record without an id", owner=owner, created=now))
    (folder / "key").write_text(keys[-1].secret)
    with ExitStack() as stack:
        portal = stack.enter_context(DemoPortal(keys))
        exporter = stack.enter_context(processes.exporter(folder, *exporter_flags(folder, portal.url)))
        as_text = stack.enter_context(FaultyPortal(in_text_format(exporter.url)))
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://")]}]}
            for job, url in (("openmetrics", exporter.url), ("text", as_text.url))
        ]
        config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}
        prometheus = stack.enter_context(processes.prometheus(folder, config))
        scene = Scene(portal, exporter, prometheus)
        stack.callback(scene.stop_portal)
        wait_for(lambda: len(scene.query("docspace_up == 1")) == 2, "scrapes in both formats")
        yield scene


def exporter_flags(folder: Path, portal_url: str) -> tuple[str, ...]:
    """Write a configuration that polls every second, and return the flags that name it."""
    path = folder / "config.yaml"
    path.write_text(
        "poll_interval: 1s\n"
        f"portals: [{{url: '{portal_url}', name: acme, api_key_file: key, labels: {{team: storage}}}}]\n"
    )
    return (f"--config.file={path}",)


def in_text_format(url: str) -> Behaviour:
    """Answer with the exporter's metrics in the text format, which Prometheus itself does not ask for."""

    def behave(connection: socket.socket, _: str) -> None:
        response = requests.get(url + "/metrics", headers={"Accept": "text/plain"}, timeout=5)
        connection.sendall(http(200, response.content, Content_Type=response.headers["Content-Type"]))

    return behave


def test_scrapes_are_up_in_both_formats(scene: Scene) -> None:
    targets = requests.get(scene.prometheus.url + "/api/v1/targets", timeout=10).json()["data"][
        "activeTargets"
    ]
    assert {target["labels"]["job"] for target in targets} == {"openmetrics", "text"}
    assert {(target["health"], target["lastError"]) for target in targets} == {("up", "")}


def test_both_formats_give_the_same_series(scene: Scene) -> None:
    names = '__name__=~"docspace_.*"'
    counts = dict.fromkeys(("openmetrics", "text"), 0.0)
    for job in counts:
        counts[job] = scene.value(f'count({{job="{job}", {names}}})') or 0
    assert counts["text"] == counts["openmetrics"] > 100


@pytest.mark.parametrize("job", ["openmetrics", "text"])
def test_every_key_of_the_portal_is_there_or_counted(scene: Scene, job: str) -> None:
    of_job = f'{{job="{job}"}}'
    assert scene.value(f"docspace_api_keys_malformed{of_job}") == 1
    total = scene.value(f"count(docspace_api_key_info{of_job}) + sum(docspace_api_keys_malformed{of_job})")
    assert total == len(scene.portal.keys)


@pytest.mark.parametrize("job", ["openmetrics", "text"])
def test_names_arrive_as_they_are_but_shortened_and_without_control_characters(
    scene: Scene, job: str
) -> None:
    arrived = {labels["name"] for labels, _ in scene.query(f'docspace_api_key_info{{job="{job}"}}')}
    assert arrived >= set(NASTY_NAMES.values())


def times_disagree(scene: Scene) -> list[Any]:
    """Return the keys of which the time to expiry is over a second off."""
    left, expiry = "docspace_api_key_time_to_expiry_seconds", "docspace_api_key_expiry_timestamp_seconds"
    assert scene.value(f"count({left})") == 2 * sum(1 for key in scene.portal.keys if key.expires)
    return scene.query(f"abs({left} - ({expiry} - timestamp({left}))) > 1")


def test_the_time_to_expiry_is_the_expiry_less_the_time_of_the_scrape(scene: Scene) -> None:
    assert times_disagree(scene) == []


def test_keys_and_their_times_stay_through_an_outage_of_the_portal(scene: Scene) -> None:
    count = scene.value('count(docspace_api_key_info{job="text"})')
    scene.stop_portal()
    wait_for(lambda: scene.value('docspace_up{job="text"}') == 0, "the portal seen to be down", timeout=5)
    begun = time.monotonic()
    before = scene.value('sum(docspace_api_key_time_to_expiry_seconds{job="text"})') or 0
    wait_for(lambda: time.monotonic() - begun > 3, "time to go on")
    after = scene.value('sum(docspace_api_key_time_to_expiry_seconds{job="text"})') or 0
    assert scene.value('count(docspace_api_key_info{job="text"})') == count
    expiring = sum(1 for key in scene.portal.keys if key.expires)
    assert before - after == pytest.approx(expiring * (time.monotonic() - begun), abs=expiring * 1.9)
    assert times_disagree(scene) == []
    assert scene.value('docspace_poll_failures_total{job="text", reason="connection"}')
    scene.start_portal()
    wait_for(lambda: scene.value('docspace_up{job="text"}') == 1, "the portal seen to be up", timeout=5)


def test_a_deleted_key_is_gone(scene: Scene) -> None:
    deleted = scene.portal.keys.pop(1)
    series = f'{{id="{deleted.id}"}}'
    wait_for(lambda: not scene.query(series), "every series of the key to be gone", timeout=5)
    assert scene.query(f"docspace_api_keys == {len(scene.portal.keys) - 1}")


def test_the_exporter_started_again_serves_the_same_series(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(scene.portal.keys[-1].secret)
    with processes.exporter(tmp_path, *exporter_flags(tmp_path, scene.portal.url)) as other:
        wait_for(lambda: other.responds("/-/ready"), "the first poll")
        texts = [requests.get(each.url + "/metrics", timeout=5).text for each in (scene.exporter, other)]
    first, second = (samples(text).keys() for text in texts)
    assert first == second
