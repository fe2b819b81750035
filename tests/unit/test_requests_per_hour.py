"""How often a portal is asked: each request costs the server 100,000 rounds of hashing."""

from collections import Counter

import pytest

from docspace_exporter import poller
from docspace_exporter.poller import PortalState, interval_after, next_due
from tests.support.faulty_portal import FaultyPortal, by_path, hang, respond
from tests.support.portals import envelope, portal_at

ADMIN = respond(body=envelope({"isAdmin": True}))
KNOWN = {
    "own_key": respond(body=envelope({"id": "own"})),
    "own_user": ADMIN,
    "members": respond(body=envelope([])),
}
OUTAGE = 120.0


def poll_for_an_hour(
    portal: FaultyPortal, interval: float = 60, ends: float = 0.0, timeout: float = 10
) -> list[float]:
    """Poll on the schedule by a clock of its own, and return when; the portal recovers at `ends`."""
    now, due, times = 0.0, 0.0, list[float]()
    state = PortalState(portal_at(portal.url, poll_interval=interval, poll_timeout=timeout))
    recovered = portal.behave if not ends else by_path(respond(), **KNOWN)
    while due < 3600:
        now = due
        times.append(now)
        if ends and now >= ends:
            portal.behave = recovered
        state = poller.poll(state, lambda: 1_790_000_000 + now)  # noqa: B023 (called at once)
        retry_after = state.failure.retry_after if state.failure else None
        due = next_due(due, now, interval_after(state), retry_after)
    return times


def requests_to(portal: FaultyPortal) -> Counter[str]:
    return Counter(head.split(" ")[1].partition("?")[0].removeprefix("/api/2.0/") for head in portal.requests)


def test_a_healthy_portal_gets_one_request_per_poll_and_three_more_per_hour() -> None:
    with FaultyPortal(by_path(respond(), **KNOWN)) as portal:
        poll_for_an_hour(portal)
        assert requests_to(portal) == {"keys": 60, "keys/@self": 1, "people/@self": 1, "people/filter": 1}


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_a_request_that_always_fails_is_repeated_at_doubling_intervals(status: int) -> None:
    with FaultyPortal(by_path(respond(status), keys=respond(), own_user=ADMIN)) as portal:
        poll_for_an_hour(portal)
        assert requests_to(portal) == {"keys": 60, "keys/@self": 6, "people/@self": 1, "people/filter": 6}


def test_a_request_that_hangs_is_not_repeated_at_every_poll() -> None:
    with FaultyPortal(by_path(hang, keys=respond())) as portal:
        poll_for_an_hour(portal, timeout=0.3)
        assert requests_to(portal) == {"keys": 60, "keys/@self": 6}


def test_a_portal_that_fails_at_first_is_polled_sooner_until_it_succeeds() -> None:
    with FaultyPortal(respond(503)) as portal:
        times = poll_for_an_hour(portal, interval=300, ends=OUTAGE)
    assert times[:6] == [0, 15, 45, 105, 225, 525]
    assert len(times) == 16


def test_a_portal_that_keeps_failing_is_polled_at_its_interval_at_last() -> None:
    with FaultyPortal(respond(503)) as portal:
        times = poll_for_an_hour(portal, interval=60)
    assert times[:7] == [0, 15, 45, 105, 165, 225, 285]


def test_an_interval_shorter_than_the_first_retry_stays() -> None:
    with FaultyPortal(respond(503)) as portal:
        state = poller.poll(PortalState(portal_at(portal.url, poll_interval=5)))
    assert interval_after(state) == 5


def test_a_portal_that_succeeded_once_is_polled_at_its_interval_though_it_fails() -> None:
    with FaultyPortal(respond()) as portal:
        state = poller.poll(PortalState(portal_at(portal.url, poll_interval=300)))
        portal.behave = respond(503)
        assert interval_after(poller.poll(state)) == 300
