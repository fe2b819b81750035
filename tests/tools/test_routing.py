"""Routes and silences by name and owner, with amtool, as docs/notifications.md shows them."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import yaml

from tests.support.documents import DOCUMENTS, blocks
from tests.support.processes import ROOT, Program, alertmanager, wait_for

PAGE = DOCUMENTS["docs/notifications.md"]
SHIPPED = ROOT / "prometheus" / "alertmanager.yml"
LOCAL = "http://localhost:9093"

ANNS = {"portal": "acme", "id": "k1", "name": "CRM sync", "postfix": "e1f2", "owner": "Ann O'Neil"}
ANNS_OTHER = {"portal": "acme", "id": "k2", "name": "backup", "postfix": "a1b2", "owner": "Ann O'Neil"}
BENS = {"portal": "acme", "id": "k3", "name": "CRM sync", "postfix": "c1d2", "owner": "Ben"}
OF_ANOTHER_PORTAL = {"portal": "emca", "id": "k4", "name": "CRM sync", "postfix": "a3b4", "owner": "Ben"}
KEYS = (ANNS, ANNS_OTHER, BENS, OF_ANOTHER_PORTAL)


def amtool(*arguments: str, directory: Path | None = None) -> str:
    """Return what amtool prints; raises AssertionError with it if it fails."""
    done = subprocess.run(("amtool", *arguments), cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Program]:
    """Run Alertmanager with the shipped configuration and an alert on each key."""
    with alertmanager(tmp_path, yaml.safe_load(SHIPPED.read_text())) as program:
        end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        posted = [{"labels": {"alertname": "Soon", **key}, "endsAt": end} for key in KEYS]
        requests.post(f"{program.url}/api/v2/alerts", json=posted, timeout=5).raise_for_status()
        wait_for(lambda: len(_alerts(program)) == len(KEYS), "an alert on each key")
        yield program


def _alerts(program: Program) -> Mapping[str, bool]:
    """Return whether the alert on each key is silenced, by the key's id."""
    printed = amtool(
        "alert", "query", "--silenced", "--active", "--output=json", f"--alertmanager.url={program.url}"
    )
    return {alert["labels"]["id"]: bool(alert["status"]["silencedBy"]) for alert in json.loads(printed)}


@pytest.mark.parametrize(
    ("severity", "receiver"), [("critical", "at once"), ("warning", "daily"), ("info", "daily")]
)
def test_the_shipped_configuration_routes_by_severity(severity: str, receiver: str) -> None:
    printed = amtool(
        "config", "routes", "test", f"--config.file={SHIPPED}", f"severity={severity}", "portal=acme"
    )
    assert printed.strip() == receiver


def test_routes_by_owner_and_name_are_those_that_the_page_shows(tmp_path: Path) -> None:
    (config,) = (block for block in PAGE.blocks if block.title == "alertmanager.yml")
    (tmp_path / "alertmanager.yml").write_text(config.text)
    (console,) = blocks("console")
    shown = re.findall(r"^\$ amtool (.+)\n(.+)$", console.text, re.MULTILINE)
    assert len(shown) == 3

    for arguments, receivers in shown:
        assert amtool(*shlex.split(arguments), directory=tmp_path).strip() == receivers


@pytest.mark.parametrize(
    ("comment", "silenced"),
    [
        ("replaced on the 1st", {"k1", "k3"}),
        ("Ann is on leave", {"k1", "k2"}),
        ("maintenance", {"k1", "k2", "k3"}),
    ],
)
def test_the_silences_that_the_page_shows_silence_these_keys(
    running: Program, comment: str, silenced: set[str]
) -> None:
    (script,) = (block for block in PAGE.blocks if "amtool silence add" in block.text)
    commands = script.text.replace("\\\n", " ").replace(LOCAL, running.url).splitlines()
    (command,) = (command for command in commands if comment in command)

    amtool(*shlex.split(command)[1:])

    wait_for(lambda: {id_ for id_, muted in _alerts(running).items() if muted} == silenced, str(silenced))
    assert {id_ for id_, muted in _alerts(running).items() if muted} == silenced


def test_a_key_is_silenced_by_its_ending_while_its_successor_is_not(running: Program) -> None:
    amtool(
        *("silence", "add", f"--alertmanager.url={running.url}", "--comment=test"),
        *("name=CRM sync", "postfix=e1f2"),
    )
    wait_for(lambda: {id_ for id_, muted in _alerts(running).items() if muted} == {"k1"}, "one silenced")


def test_the_test_alert_of_the_page_is_accepted(running: Program) -> None:
    (script,) = (block for block in PAGE.blocks if "amtool alert add" in block.text)
    command = script.text.replace("\\\n", " ").replace(LOCAL, running.url).splitlines()[1]
    amtool(*shlex.split(command)[1:])
    found = wait_for(
        lambda: requests.get(
            f"{running.url}/api/v2/alerts", params={"filter": "alertname=Test"}, timeout=5
        ).json(),
        "the test alert",
    )
    assert found[0]["receivers"] == [{"name": "at once"}]
