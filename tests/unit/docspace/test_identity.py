"""Who the exporter is at a portal: which key is its own, and whether it sees every key."""

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
TELLS = {
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


def test_the_own_key_is_found_though_another_ends_alike(demo_portal: DemoPortal) -> None:
    own = demo_portal.keys[-1]
    demo_portal.keys[0].secret = "sk-other" + own.secret[-4:]
    identity = client.poll(portal_at(demo_portal.url, api_key=own.secret), None).identity
    assert identity.own_key_id == own.id


@pytest.mark.parametrize(("is_admin", "count"), [(True, 2), (False, 1)])
def test_an_admin_sees_every_key_and_a_member_their_own(is_admin: bool, count: int) -> None:
    now = datetime.now(UTC)
    mine = DemoKey(name="mine", owner=User("Me", is_admin=is_admin), created=now, permissions=("*:read",))
    other = DemoKey(name="other", owner=User("Other"), created=now)
    with DemoPortal([mine, other]) as portal:
        answer = client.poll(portal_at(portal.url, api_key=mine.secret), None)
    assert (len(answer.keys), answer.identity.sees_every_key) == (count, is_admin)


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
def test_what_the_portal_does_not_tell_of_its_user_is_not_known(user: object, expected: bool | None) -> None:
    own_user = respond(body=envelope(user))
    with FaultyPortal(by_path(respond(), own_key=TELLS["own_key"], own_user=own_user)) as portal:
        assert identify(portal).sees_every_key is expected


@pytest.mark.parametrize("own_key", [{}, {"id": None}, {"id": 5}, {"id": ""}, [], None, "own"])
def test_what_the_portal_does_not_tell_of_its_key_is_not_known(own_key: object) -> None:
    with FaultyPortal(by_path(respond(), own_key=respond(body=envelope(own_key)))) as portal:
        assert identify(portal).own_key_id is None


def test_the_portal_is_asked_for_the_identity_once_an_hour(demo_portal: DemoPortal) -> None:
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


def test_the_portal_is_asked_again_after_the_clock_was_ahead(demo_portal: DemoPortal) -> None:
    portal = portal_at(demo_portal.url, api_key=demo_portal.keys[-1].secret)
    identity = client.poll(portal, None, lambda: NOW + 86_400).identity
    demo_portal.requests.clear()
    client.poll(portal, identity, lambda: NOW)
    assert list(demo_portal.requests) == [KEYS, OWN_KEY, OWN_USER, MEMBERS]


def test_who_the_exporter_is_is_asked_again_when_its_key_is_replaced(
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
    "resets": reset,
    "hangs": hang,
}
REFUSALS: dict[str, Behaviour] = {
    "401": respond(401),
    "403": respond(403),
    "404": respond(404),
    "HTML": respond(body=b"<html>"),
    "garbage": respond(body=b'{"response":' + b"[" * 10_000),
    "no object": respond(body=envelope([])),
}


@pytest.mark.parametrize("path", ["own_key", "own_user"])
@pytest.mark.parametrize("fault", FAILURES | REFUSALS)
def test_keys_are_exported_though_the_portal_does_not_tell_who_asks(fault: str, path: str) -> None:
    fails = (FAILURES | REFUSALS)[fault]
    with FaultyPortal(by_path(respond(), **{**TELLS, path: fails})) as portal:
        identity = identify(portal, poll_timeout=0.5)
    assert identity.own_key_id == (None if path == "own_key" else "own")
    assert identity.sees_every_key is (None if path == "own_user" or fault == "hangs" else True)


@pytest.mark.parametrize("fault", FAILURES | REFUSALS)
def test_what_was_known_stays_when_the_portal_does_not_tell_again(fault: str) -> None:
    with FaultyPortal(by_path(respond(), **TELLS)) as portal:
        first = identify(portal)
        portal.behave = by_path((FAILURES | REFUSALS)[fault], keys=respond())
        later = identify(portal, first, poll_timeout=0.5, now=AN_HOUR_LATER)
    assert (later.own_key_id, later.sees_every_key) == ("own", True)


@pytest.mark.parametrize("fault", FAILURES)
def test_a_failed_request_is_repeated_after_a_while(fault: str) -> None:
    with FaultyPortal(by_path(FAILURES[fault], keys=respond())) as portal:
        first = identify(portal, poll_timeout=0.5)
        portal.behave = by_path(respond(), **TELLS)
        sooner = identify(portal, first, now=NOW + FIRST_RETRY - 1)
        later = identify(portal, first, now=NOW + FIRST_RETRY)
    assert sooner is not later
    assert (sooner.own_key_id, sooner.sees_every_key) == (None, None)
    assert (later.own_key_id, later.sees_every_key) == ("own", True)


def test_a_failed_request_is_not_repeated_sooner_than_the_portal_allows() -> None:
    with FaultyPortal(by_path(respond(429, Retry_After="600"), keys=respond())) as portal:
        first = identify(portal)
    assert first.own_key_schedule.due == NOW + 600


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_to_tell_is_not_asked_again_within_the_hour(refusal: str) -> None:
    with FaultyPortal(by_path(REFUSALS[refusal], keys=respond())) as portal:
        first = identify(portal)
        asked = len(portal.requests)
        assert identify(portal, first, now=AN_HOUR_LATER - 1) == first
    assert len(portal.requests) == asked + 1


def test_a_failed_poll_asks_for_nothing_more() -> None:
    with FaultyPortal(by_path(send(b""), keys=respond(500))) as portal:
        with pytest.raises(PollError):
            client.poll(portal_at(portal.url), None)
        assert [head.partition(" HTTP")[0] for head in portal.requests] == [KEYS]
