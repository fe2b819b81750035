"""From a key of a portal to the notification that a person reads, through the files as shipped."""

import html
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import yaml

from docspace_exporter.demo import DemoKey, DemoPortal, sample_keys
from docspace_exporter.docspace.model import KEYS_PAGE
from prometheus.customize import customize, to_yaml
from tests.support.inboxes import Mailbox, Webhook, content, mailbox, webhook
from tests.support.processes import ROOT, Program, alertmanager, exporter, prometheus, wait_for

SHIPPED = ROOT / "prometheus"
IMMINENT = "DocSpaceApiKeyExpiryImminent"
SOON = "DocSpaceApiKeyExpiringSoon"
CHAT, ALERTS = "/chat", "/alerts"
LINKS = {
    "runbookBaseURL": "https://wiki.example.com/alerts",
    "dashboardURL": "https://grafana.example.com/d/docspace",
}

Alert = Mapping[str, Any]


class Inboxes:
    """Where the notifications of a demo portal arrive."""

    def __init__(self, portal: DemoPortal, box: Mailbox, hook: Webhook) -> None:
        self.portal = portal
        self._box = box
        self._hook = hook

    def alert(self, name: str, status: str) -> Alert:
        """Wait for an alert of this name and status, and return the newest."""
        return wait_for(
            lambda: next((a for a in reversed(self._alerts()) if _is(a, name, status)), None),
            f"a notification: {name} is {status}",
        )

    def ids(self, name: str) -> set[str]:
        """Return the keys that alerts of this name were about so far."""
        return {a["labels"]["id"] for a in self._alerts() if a["labels"]["alertname"] == name}

    def email(self, subject: str, about: str) -> EmailMessage:
        """Wait for an e-mail whose subject starts so and whose text contains this, and return the newest."""
        return wait_for(
            lambda: next(
                (
                    email
                    for email in reversed(self._box.emails)
                    if email["Subject"].startswith(subject) and about in content(email, "plain")
                ),
                None,
            ),
            f"an e-mail: {subject}… {about}",
        )

    def chat(self, about: str) -> Mapping[str, Any]:
        """Wait for a chat message that contains this, and return the newest."""
        return wait_for(
            lambda: next((m for m in reversed(self._messages()) if about in m["text"]), None),
            f"a chat message about {about}",
        )

    def _alerts(self) -> list[Alert]:
        return [alert for message in self._hook.posted(ALERTS) for alert in message["alerts"]]

    def _messages(self) -> list[Mapping[str, Any]]:
        return [message["attachments"][0] for message in self._hook.posted(CHAT)]


@pytest.fixture(scope="module")
def inboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inboxes]:
    """Run everything from the portal to the people; each test changes another key."""
    directory = tmp_path_factory.mktemp("notification")
    with (
        DemoPortal(sample_keys(datetime.now(UTC))) as portal,
        mailbox() as (box, address),
        webhook() as hook,
        _exporter(directory, portal) as exporter_program,
        _alertmanager(directory, address, hook.url) as alertmanager_program,
        _prometheus(directory, exporter_program, alertmanager_program),
    ):
        yield Inboxes(portal, box, hook)


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
def _alertmanager(directory: Path, mail_server: str, hook: str) -> Iterator[Program]:
    """Run the shipped configuration, with seconds in the place of hours; `hook` also gets JSON."""
    config = yaml.safe_load((SHIPPED / "alertmanager.yml").read_text())
    config["global"] |= {"smtp_smarthost": mail_server, "slack_api_url": hook + CHAT}
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": hook + ALERTS}]
    with alertmanager(directory, config) as program:
        yield program


@contextmanager
def _prometheus(directory: Path, scraped: Program, notified: Program) -> Iterator[Program]:
    """Run the shipped configuration and rules, with seconds in the place of minutes, and links."""
    customized = to_yaml(customize(yaml.safe_load((SHIPPED / "rules.yml").read_text()), LINKS))
    hurried = re.sub(r"^( *)(for|interval): \w+", r"\1\2: 1s", customized, flags=re.MULTILINE)
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


def _is(alert: Alert, name: str, status: str) -> bool:
    return (alert["labels"]["alertname"], alert["status"]) == (name, status)


def key_of(portal: DemoPortal, name: str) -> DemoKey:
    (key,) = (key for key in portal.keys if key.name == name)
    return key


def test_a_key_that_expires_in_two_days_is_notified_and_resolved_once_deleted(inboxes: Inboxes) -> None:
    portal = inboxes.portal
    key = key_of(portal, "nightly backup")
    owner = key.owner.display_name

    alert = inboxes.alert(IMMINENT, "firing")
    labels, annotations = alert["labels"], alert["annotations"]
    assert (labels["portal"], labels["id"], labels["severity"]) == ("acme", key.id, "critical")
    assert (labels["name"], labels["postfix"], labels["owner"]) == (key.name, key.secret[-4:], owner)
    for fact in (key.name, key.secret[-4:], owner, "acme", "1d 23h"):
        assert fact in annotations["description"]
    rotate, runbook = portal.url + KEYS_PAGE, f"{LINKS['runbookBaseURL']}#{IMMINENT.lower()}"
    dashboard = f"{LINKS['dashboardURL']}?var-portal=acme"
    assert (annotations["rotate_url"], annotations["runbook_url"]) == (rotate, runbook)
    assert annotations["dashboard_url"] == dashboard

    email = inboxes.email("Critical: ", key.name)
    assert (email["To"], email["From"]) == ("docspace-admins@example.com", "alertmanager@example.com")
    for text in (content(email, "plain"), html.unescape(content(email, "html"))):
        for fact in (key.name, owner, "1d 23h", "deploy it now", rotate, dashboard, runbook):
            assert fact in text
    message = inboxes.chat(key.name)
    assert message["color"] == "danger"
    for fact in (
        owner,
        "1d 23h",
        "deploy it now",
        f"<{rotate}|Rotate the key>",
        f"<{dashboard}|",
        f"<{runbook}|",
    ):
        assert fact in message["text"]

    soon = inboxes.alert(SOON, "firing")
    assert "CRM sync" in soon["annotations"]["summary"]
    assert inboxes.ids(SOON) == {key_of(portal, "CRM sync").id}, (
        "the imminent alert inhibits the other of its key"
    )

    portal.keys.remove(key)
    assert inboxes.alert(IMMINENT, "resolved")["labels"]["id"] == key.id
    resolved = content(inboxes.email("Critical: ", "Resolved:"), "plain")
    assert key.name in resolved.partition("Resolved:")[2]


def test_the_alerts_of_a_day_arrive_in_one_notification_per_portal(inboxes: Inboxes) -> None:
    for alert in (SOON, "DocSpaceApiKeyDisabledInUse", "DocSpaceApiKeysUnused"):
        inboxes.alert(alert, "firing")

    email = inboxes.email("acme: ", "unused")

    assert re.fullmatch(r"acme: \d+ alerts on API keys", email["Subject"])
    assert IMMINENT not in content(email, "html")


def test_a_name_of_a_key_is_text_and_nothing_else(inboxes: Inboxes) -> None:
    hostile = '<!channel> *&* <https://evil.example|click> <b onclick="x">'
    key_of(inboxes.portal, "mail gateway").name = hostile

    message = inboxes.chat("!channel")
    email = inboxes.email("Critical: ", hostile)

    assert "<!channel>" not in message["text"]
    assert "<https://evil" not in message["text"]
    assert "&lt;!channel&gt;" in message["text"]
    assert "<b onclick" not in content(email, "html")
    assert hostile in content(email, "plain")
