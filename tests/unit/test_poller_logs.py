"""What polls log about records that cannot be read, and about exceptions without effect."""

import logging

import msgspec
import pytest

from docspace_exporter import poller
from docspace_exporter.config.exceptions import KeyException
from docspace_exporter.poller import LOGGED_KEYS, PortalState
from tests.support.faulty_portal import FaultyPortal, respond
from tests.support.portals import envelope, portal_at, record

UNREADABLE = "Some fields cannot be read"


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Return level and keys of each line about unreadable fields."""
    return [
        (log.levelno, vars(log)["keys"]) for log in caplog.records if log.getMessage().startswith(UNREADABLE)
    ]


def test_unreadable_fields_are_logged_with_the_key_and_without_the_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "docspace_exporter")
    keys = [record(), record(id="2", expiresAt="hunter2"), record(id="3", lastUsed=5, name=["hunter2"])]
    with FaultyPortal(respond(body=envelope(keys))) as portal:
        poller.poll(PortalState(portal_at(portal.url)))
    assert logged(caplog) == [(logging.WARNING, "2 (expiresAt), 3 (name lastUsed)")]
    assert "hunter2" not in caplog.text


def test_they_are_a_warning_only_while_they_are_new(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "docspace_exporter")
    bad, worse = record(expiresAt="x"), record(expiresAt="x", createOn="y")
    with FaultyPortal(respond()) as portal:
        state = PortalState(portal_at(portal.url))
        for body in ([bad], [bad], [worse], [record()], [bad]):
            portal.behave = respond(body=envelope(body))
            state = poller.poll(state)
    levels = [level for level, _ in logged(caplog)]
    assert levels == [logging.WARNING, logging.DEBUG, logging.WARNING, logging.WARNING]


def test_a_line_names_a_few_keys_only(caplog: pytest.LogCaptureFixture) -> None:
    keys = [record(id=str(number), expiresAt="x") for number in range(1000)]
    with FaultyPortal(respond(body=envelope(keys))) as portal:
        poller.poll(PortalState(portal_at(portal.url)))
    ((_, named),) = logged(caplog)
    assert named.count("expiresAt") == LOGGED_KEYS
    assert named.endswith(", …")


def test_an_exception_without_effect_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    exceptions = (
        KeyException(name="backup*", allow=("unused",), reason="OPS-12"),
        KeyException(name="gone", allow=("unused",), reason="OPS-13"),
    )
    with FaultyPortal(respond(body=envelope([record()]))) as portal:
        state = PortalState(portal_at(portal.url, exceptions=exceptions))
        for _ in range(3):
            state = poller.poll(state)
    lines = [log for log in caplog.records if log.getMessage().startswith("The exception")]
    assert [(log.getMessage(), vars(log)["exception"]) for log in lines] == [
        ("The exception matches no key: correct or remove it", "exceptions[1]")
    ]


def test_failures_and_exceptions_without_effect_are_logged_again_after_a_change_of_the_portal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    exceptions = (KeyException(name="gone", allow=("unused",), reason="OPS-13"),)
    with FaultyPortal(respond(body=envelope([record()]))) as portal:
        first = poller.poll(PortalState(portal_at(portal.url)))
        changed = msgspec.structs.replace(first, portal=portal_at(portal.url, exceptions=exceptions))
        unchanged = poller.poll(changed)
        poller.poll(unchanged)
        portal.behave = respond(500)
        failed = poller.poll(unchanged)
        poller.poll(failed)
        poller.poll(msgspec.structs.replace(failed, portal=portal_at(portal.url)))
    warnings = [log.getMessage() for log in caplog.records if log.levelno == logging.WARNING]
    subjects = [warning.partition(":")[0] for warning in warnings]
    assert subjects == ["The exception matches no key", "Poll failed", "Poll failed"]
