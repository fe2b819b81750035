"""What a portal reports about the exporter: which key is its own, and whether it sees every key."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from docspace_exporter.demo import DemoKey, DemoPortal, User
from docspace_exporter.docspace import client
from docspace_exporter.docspace.failures import PollError
from docspace_exporter.docspace.identity import FIRST_RETRY, LIFETIME
from docspace_exporter.docspace.model import Identity
from tests.support.faulty_portal import Behaviour, FaultyPortal, by_path, hang, reset, respond, send
from tests.support.portals import envelope, portal_at

KEYS, OWN_KEY, OWN_USER = "GET /api/2.0/keys", "GET /api/2.0/keys/@self", "GET /api/2.0/people/@self"
MEMBERS = "GET /api/2.0/people/filter"
NOW = 1_790_000_000.0
AN_HOUR_LATER = NOW + LIFETIME
IDENTITY = {
    "own_key": respond(body=envelope({"id": "own"})),
    "own_user": respond(body=envelope({"isAdmin": True, "isOwner": False})),
    "members": respond(body=envelope([])),
}


def identify(
    portal: FaultyPortal, known: Identity | None = None, poll_timeout: float = 10.0, now: float = NOW
) -> Identity:
    snapshot = client.poll(portal_at(portal.url, poll_timeout=poll_timeout), known, lambda: now)
    assert len(snapshot.keys) == 1
    return snapshot.identity


def test_the_exporters_own_key_is_found_even_if_another_has_the_same_postfix(demo_portal: DemoPortal) -> None:
    own = demo_portal.keys[-1]
    demo_portal.keys[0].secret = "sk-other" + own.secret[-4:]
    identity = client.poll(portal_at(demo_portal.url, api_key=own.secret), None).identity
    assert identity.own_key_id == own.id


@pytest.mark.parametrize(("is_admin", "count"), [(True, 2), (False, 1)])
def test_an_admin_sees_every_key_and_other_members_only_their_own(is_admin: bool, count: int) -> None:
    now = datetime.now(UTC)
    mine = DemoKey(name="mine", owner=User("Me", is_admin=is_admin), created=now, permissions=("*:read",))
    other = DemoKey(name="other", owner=User("Other"), created=now)
    with DemoPortal([mine, other]) as portal:
        snapshot = client.poll(portal_at(portal.url, api_key=mine.secret), None)
    assert (len(snapshot.keys), snapshot.identity.sees_every_key) == (count, is_admin)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"isAdmin": False, "isOwner": True}, True),
        ({"isOwner": True}, True),
        ({"isAdmin": False, "isOwner": False}, False),
        ({"isAdmin": False}, None),
        ({}, None),
        ({"isAdmin": "yes", "isOwner": 1}, None),
        ([], None),
        (None, None),
    ],
)
def test_whether_the_user_sees_every_key_is_unknown_unless_the_portal_reports_it(
    user: object, expected: bool | None
) -> None:
    own_user = respond(body=envelope(user))
    with FaultyPortal(by_path(respond(), own_key=IDENTITY["own_key"], own_user=own_user)) as portal:
        assert identify(portal).sees_every_key is expected


@pytest.mark.parametrize("own_key", [{}, {"id": None}, {"id": 5}, {"id": ""}, [], None, "own"])
def test_the_exporters_own_key_is_unknown_unless_the_portal_reports_its_id(own_key: object) -> None:
    with FaultyPortal(by_path(respond(), own_key=respond(body=envelope(own_key)))) as portal:
        assert identify(portal).own_key_id is None


def test_the_identity_is_requested_once_an_hour(demo_portal: DemoPortal) -> None:
    portal = portal_at(demo_portal.url, api_key=demo_portal.keys[-1].secret)
    identity, requests = None, list[list[str]]()
    for now in (NOW, NOW + 1, AN_HOUR_LATER - 1, AN_HOUR_LATER):
        demo_portal.requests.clear()
        identity = client.poll(portal, identity, partial(float, now)).identity
        requests.append(list(demo_portal.requests))
    assert requests == [
        [KEYS, OWN_KEY, OWN_USER, MEMBERS],
        [KEYS],
        [KEYS],
        [KEYS, OWN_KEY, OWN_USER, MEMBERS],
    ]


def test_the_identity_is_requested_again_after_the_clock_was_set_back(demo_portal: DemoPortal) -> None:
    portal = portal_at(demo_portal.url, api_key=demo_portal.keys[-1].secret)
    identity = client.poll(portal, None, lambda: NOW + 86_400).identity
    demo_portal.requests.clear()
    client.poll(portal, identity, lambda: NOW)
    assert list(demo_portal.requests) == [KEYS, OWN_KEY, OWN_USER, MEMBERS]


def test_the_identity_is_requested_again_when_the_exporters_key_is_replaced(
    demo_portal: DemoPortal, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    portal = portal_at(demo_portal.url, api_key=None, api_key_file=file)
    old, new = demo_portal.keys[-1], demo_portal.keys[0]
    new.permissions = ("*:read",)
    file.write_text(old.secret)
    first = client.poll(portal, None).identity
    file.write_text(new.secret)
    second = client.poll(portal, first).identity
    assert (first.own_key_id, second.own_key_id) == (old.id, new.id)
    assert (first.sees_every_key, second.sees_every_key) == (True, False)


FAILURES: dict[str, Behaviour] = {
    "500": respond(500),
    "429": respond(429),
    "redirect": respond(302),
    "connection reset": reset,
    "no response": hang,
}
REFUSALS: dict[str, Behaviour] = {
    "401": respond(401),
    "403": respond(403),
    "404": respond(404),
    "HTML": respond(body=b"<html>"),
    "nested too deeply": respond(body=b'{"response":' + b"[" * 10_000),
    "not an object": respond(body=envelope([])),
}


@pytest.mark.parametrize("path", ["own_key", "own_user"])
@pytest.mark.parametrize("fault", FAILURES | REFUSALS)
def test_keys_are_exported_even_if_a_request_for_the_identity_fails(fault: str, path: str) -> None:
    failing = (FAILURES | REFUSALS)[fault]
    with FaultyPortal(by_path(respond(), **{**IDENTITY, path: failing})) as portal:
        identity = identify(portal, poll_timeout=0.5)
    assert identity.own_key_id == (None if path == "own_key" else "own")
    assert identity.sees_every_key is (None if path == "own_user" or fault == "no response" else True)


@pytest.mark.parametrize("fault", FAILURES | REFUSALS)
def test_a_known_identity_is_kept_when_later_requests_for_it_fail(fault: str) -> None:
    with FaultyPortal(by_path(respond(), **IDENTITY)) as portal:
        first = identify(portal)
        portal.behave = by_path((FAILURES | REFUSALS)[fault], keys=respond())
        later = identify(portal, first, poll_timeout=0.5, now=AN_HOUR_LATER)
    assert (later.own_key_id, later.sees_every_key) == ("own", True)


@pytest.mark.parametrize("fault", FAILURES)
def test_a_failed_request_is_repeated_after_a_delay(fault: str) -> None:
    with FaultyPortal(by_path(FAILURES[fault], keys=respond())) as portal:
        first = identify(portal, poll_timeout=0.5)
        portal.behave = by_path(respond(), **IDENTITY)
        early = identify(portal, first, now=NOW + FIRST_RETRY - 1)
        later = identify(portal, first, now=NOW + FIRST_RETRY)
    assert early is not later
    assert (early.own_key_id, early.sees_every_key) == (None, None)
    assert (later.own_key_id, later.sees_every_key) == ("own", True)


def test_a_failed_request_is_not_repeated_sooner_than_the_portal_allows() -> None:
    with FaultyPortal(by_path(respond(429, Retry_After="600"), keys=respond())) as portal:
        first = identify(portal)
    assert first.own_key_schedule.due == NOW + 600


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_rejected_request_is_not_repeated_within_the_hour(refusal: str) -> None:
    with FaultyPortal(by_path(REFUSALS[refusal], keys=respond())) as portal:
        first = identify(portal)
        requests = len(portal.requests)
        assert identify(portal, first, now=AN_HOUR_LATER - 1) == first
    assert len(portal.requests) == requests + 1


def test_a_failed_poll_sends_no_further_requests() -> None:
    with FaultyPortal(by_path(send(b""), keys=respond(500))) as portal:
        with pytest.raises(PollError):
            client.poll(portal_at(portal.url), None)
        assert [request.partition(" HTTP")[0] for request in portal.requests] == [KEYS]
