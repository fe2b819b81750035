"""From a key of a portal to the notification that a person reads, through the files as shipped."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from docspace_exporter.demo import DemoKey, DemoPortal
from docspace_exporter.docspace.model import KEYS_PAGE
from tests.support.processes import ROOT, Program, alertmanager, exporter, prometheus, wait_for

SHIPPED = ROOT / "prometheus"
IMMINENT = "DocSpaceApiKeyExpiryImminent"
SOON = "DocSpaceApiKeyExpiringSoon"

Alert = Mapping[str, Any]


class Webhook(ThreadingHTTPServer):
    """Takes Alertmanager's notifications."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.alerts: list[Alert] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"

    def newest(self, name: str, status: str) -> Alert | None:
        """Return the newest alert of this name and status, if there was one."""
        alerts = (
            a for a in reversed(self.alerts) if (a["labels"]["alertname"], a["status"]) == (name, status)
        )
        return next(alerts, None)


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.alerts.extend(json.loads(content)["alerts"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output to the test."""


@pytest.fixture
def webhook(demo_portal: DemoPortal, tmp_path: Path) -> Iterator[Webhook]:
    """Run everything from the portal to the webhook."""
    with (
        _listening() as webhook,
        _exporter(tmp_path, demo_portal) as exporter_program,
        _alertmanager(tmp_path, webhook) as alertmanager_program,
        _prometheus(tmp_path, exporter_program, alertmanager_program),
    ):
        yield webhook


@contextmanager
def _listening() -> Iterator[Webhook]:
    with Webhook() as webhook:
        thread = threading.Thread(target=webhook.serve_forever)
        thread.start()
        yield webhook
        webhook.shutdown()
        thread.join()


@contextmanager
def _exporter(directory: Path, portal: DemoPortal) -> Iterator[Program]:
    environment = {
        "DOCSPACE_URL": portal.url,
        "DOCSPACE_API_KEY": portal.keys[-1].secret,
        "DOCSPACE_NAME": "acme",
        "DOCSPACE_POLL_INTERVAL": "1s",
    }
    with exporter(directory, environment=environment) as program:
        yield program


@contextmanager
def _alertmanager(directory: Path, webhook: Webhook) -> Iterator[Program]:
    config = yaml.safe_load((SHIPPED / "alertmanager.yml").read_text())
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    config["receivers"][0]["webhook_configs"][0]["url"] = webhook.url
    with alertmanager(directory, config) as program:
        yield program


@contextmanager
def _prometheus(directory: Path, scraped: Program, notified: Program) -> Iterator[Program]:
    """Run the shipped configuration and rules, with seconds in the place of minutes."""
    rules = (SHIPPED / "rules.yml").read_text()
    hurried = re.sub(r"^( +)(for|interval): \w+", r"\1\2: 1s", rules, flags=re.MULTILINE)
    (directory / "rules.yml").write_text(hurried)
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    for part, program in (
        (config["scrape_configs"], scraped),
        (config["alerting"]["alertmanagers"], notified),
    ):
        part[0]["static_configs"][0]["targets"] = [program.url.removeprefix("http://")]
    with prometheus(directory, config, "--rules.alert.resend-delay=1s") as program:
        yield program


def key_of(portal: DemoPortal, name: str) -> DemoKey:
    (key,) = (key for key in portal.keys if key.name == name)
    return key


def test_a_key_that_expires_in_two_days_is_notified_and_resolved_once_deleted(
    webhook: Webhook, demo_portal: DemoPortal
) -> None:
    key = key_of(demo_portal, "nightly backup")

    alert = wait_for(lambda: webhook.newest(IMMINENT, "firing"), "a notification")
    labels, annotations = alert["labels"], alert["annotations"]
    assert (labels["portal"], labels["id"], labels["severity"]) == ("acme", key.id, "critical")
    for fact in (key.name, key.secret[-4:], key.owner.display_name, "acme", "1d 23h"):
        assert fact in annotations["description"]
    assert annotations["rotate_url"] == demo_portal.url + KEYS_PAGE
    assert annotations["runbook_url"].endswith(f"#{IMMINENT.lower()}")

    soon = wait_for(
        lambda: webhook.newest(SOON, "firing"), "a notification of the key that expires in 10 days"
    )
    assert "CRM sync" in soon["annotations"]["summary"]
    ids = {alert["labels"]["id"] for alert in webhook.alerts if alert["labels"]["alertname"] == SOON}
    assert ids == {key_of(demo_portal, "CRM sync").id}, "the imminent alert silences the other for its key"

    demo_portal.keys.remove(key)
    resolved = wait_for(lambda: webhook.newest(IMMINENT, "resolved"), "a notification that it is resolved")
    assert resolved["labels"]["id"] == key.id
