"""Whether a key's owner may still use the portal: removed, disabled and active members."""

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from docspace_exporter import poller
from docspace_exporter.demo import DemoKey, DemoPortal, User
from docspace_exporter.docspace import client, members
from docspace_exporter.docspace.model import REMOVED_MEMBER, Identity
from docspace_exporter.poller import PortalState
from tests.support.collector import DocSpaceCollector
from tests.support.faulty_portal import Behaviour, FaultyPortal, by_path, respond, send_and_end
from tests.support.portals import envelope, portal_at, record
from tests.support.samples import samples_of, values
from tests.support.serving import ABOUT

NOW = datetime.now(UTC)
ADMIN = User("Admin", is_admin=True)
ACTIVE = User("Active")
DISABLED = User("Disabled", is_disabled=True)
REMOVED = User("profile removed", id=REMOVED_MEMBER)


def key_of(owner: User, **fields: Any) -> DemoKey:
    return DemoKey(**{"name": owner.display_name, "owner": owner, "created": NOW, **fields})


def owner_active(state: PortalState) -> dict[str, float]:
    """Return the exported values by key name."""
    found = samples_of(DocSpaceCollector(ABOUT, [state], ()).collect())
    return {name: value for (name,), value in values(found, "docspace_api_key_owner_active", "name").items()}


@pytest.mark.parametrize(
    ("permissions", "user", "expected"),
    [
        (("*:read",), ADMIN, {"Admin": 1, "Active": 1, "Disabled": 0, "profile removed": 0}),
        ((), ADMIN, {"Admin": 1, "Active": 1, "Disabled": 0, "profile removed": 0}),
        (("*:read",), ACTIVE, {}),
    ],
    ids=["admin", "admin, unrestricted key", "not an admin"],
)
def test_only_an_admin_sees_whether_owners_are_active(
    permissions: tuple[str, ...], user: User, expected: dict[str, float]
) -> None:
    own = key_of(user, permissions=permissions)
    others = [key_of(owner) for owner in (ADMIN, ACTIVE, DISABLED, REMOVED) if owner is not user]
    with DemoPortal([own, *others]) as portal:
        state = poller.poll(PortalState(portal_at(portal.url, api_key=own.secret)))
    assert state.up
    assert owner_active(state) == expected


def test_a_disabled_member_on_the_last_page_of_a_long_list_is_found() -> None:
    own = key_of(ADMIN, permissions=("*:read",))
    disabled = [User(f"Member {number}", is_disabled=True) for number in range(299)]
    with DemoPortal([own, key_of(DISABLED), key_of(ACTIVE)], members=disabled) as portal:
        state = poller.poll(PortalState(portal_at(portal.url, api_key=own.secret)))
        pages = sum(request.startswith("GET /api/2.0/people/filter") for request in portal.requests)
    assert owner_active(state) == {"Admin": 1, "Active": 1, "Disabled": 0}
    assert pages == 4
    assert state.snapshot is not None
    assert len(state.snapshot.identity.disabled_members or ()) == 300


def page_of(count: int, start: int = 0, **fields: Any) -> Behaviour:
    listed = [{"id": f"member {number}", "status": 2} for number in range(start, start + count)]
    return respond(body=envelope(listed, **fields))


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Use the next behaviour at each request."""
    remaining: Iterator[Behaviour] = iter(behaviours)

    def behave(connection: socket.socket, request: str) -> None:
        next(remaining)(connection, request)

    return behave


INCOMPLETE: dict[str, Callable[[], Behaviour]] = {
    "forbidden": lambda: respond(403, b""),
    "not found": lambda: respond(404, b""),
    "error on the second page": lambda: in_turn(page_of(100), respond(500)),
    "closed on the second page": lambda: in_turn(page_of(100), send_and_end(b"")),
    "shorter than its total": lambda: in_turn(page_of(100, total=300), page_of(50, 100, total=300)),
    "the same page each time": lambda: in_turn(*[page_of(100)] * 5),
    "members that are not disabled": lambda: respond(body=envelope([{"id": "a", "status": 1}])),
    "members without ids": lambda: respond(body=envelope([{"status": 2}])),
    "numbers": lambda: respond(body=envelope([1, 2])),
    "not a list": lambda: respond(body=envelope({"id": "a"})),
    "invalid total": lambda: respond(body=envelope([], total=[])),
    "HTML": lambda: respond(body=b"<html>"),
}


@pytest.mark.parametrize("fault", INCOMPLETE)
def test_no_owner_is_reported_as_active_if_the_list_is_incomplete(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "PAGE_LIMIT", 5)
    removed = record(id="2", name="removed", createBy={"id": REMOVED_MEMBER.upper(), "displayName": "x"})
    admin = respond(body=envelope({"isAdmin": True}))
    keys = respond(body=envelope([record(), removed]))
    with FaultyPortal(by_path(respond(), keys=keys, own_user=admin, members=INCOMPLETE[fault]())) as portal:
        state = poller.poll(PortalState(portal_at(portal.url)))
    assert state.up
    assert owner_active(state) == {"removed": 0}


def test_a_key_without_a_valid_owner_has_no_series() -> None:
    keys = respond(body=envelope([record(createBy=None), record(id="2", name="odd", createBy={"id": 5})]))
    admin = respond(body=envelope({"isAdmin": True}))
    listed = respond(body=envelope([]))
    with FaultyPortal(by_path(respond(), keys=keys, own_user=admin, members=listed)) as portal:
        state = poller.poll(PortalState(portal_at(portal.url)))
    assert owner_active(state) == {}


def test_disabled_members_become_unknown_when_a_later_request_fails() -> None:
    admin = respond(body=envelope({"isAdmin": True}))
    with FaultyPortal(by_path(respond(), own_user=admin, members=page_of(1))) as portal:
        first = client.poll(portal_at(portal.url), None).identity
        portal.behave = by_path(respond(), own_user=admin, members=respond(500))
        later = client.poll(portal_at(portal.url), first, lambda: first.members_schedule.due + 1).identity
    assert first.disabled_members == frozenset({"member 0"})
    assert later.disabled_members is None
    assert later.members_schedule.failures == 1


def test_disabled_members_become_unknown_when_the_user_is_no_longer_an_admin() -> None:
    known = Identity(b"", sees_every_key=True, disabled_members=frozenset({"a"}))
    member = respond(body=envelope({"isAdmin": False, "isOwner": False}))
    with FaultyPortal(by_path(respond(), own_user=member)) as portal:
        assert client.poll(portal_at(portal.url), known).identity.disabled_members is None
