"""When portals are polled, and what is kept between polls."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docspace_exporter import poller
from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace import client
from docspace_exporter.docspace.failures import Reason
from docspace_exporter.docspace.model import Snapshot
from docspace_exporter.poller import Poller, PortalState, next_due
from tests.support.faulty_portal import FaultyPortal, by_path, hang, respond
from tests.support.portals import SECRET, envelope, portal_at, record
from tests.support.processes import wait_for


@contextmanager
def polling(*portals: Portal, on_poll: Callable[[PortalState], None] = lambda _: None) -> Iterator[Poller]:
    """Poll these portals, and stop all threads at the end."""
    running = Poller(on_poll)
    running.watch(portals)
    try:
        yield running
    finally:
        running.stop()
        wait_for(lambda: not threads(), "the threads to end", timeout=15)


def threads() -> list[str]:
    """Return the names of the threads of all pollers."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("poll")]


def _wait(event: threading.Event) -> None:
    event.wait(10)


def polls_of(portal: FaultyPortal) -> int:
    return sum(request.startswith("GET /api/2.0/keys HTTP") for request in portal.requests)


@pytest.mark.parametrize(
    ("due", "now", "retry_after", "expected"),
    [
        (100, 100, None, 110),
        (100, 103, None, 110),
        (100, 109.9, None, 110),
        (100, 110, None, 120),
        (100, 135, None, 140),
        (100, 99, None, 110),
        (100, 101, 0, 110),
        (100, 101, 5, 110),
        (100, 101, 60, 161),
        (100, 135, 60, 195),
    ],
)
def test_the_next_poll_is_due_on_schedule_but_not_before_retry_after(
    due: float, now: float, retry_after: float | None, expected: float
) -> None:
    assert next_due(due, now, 10, retry_after) == expected


@given(
    due=st.floats(0, 1e6),
    late=st.floats(0, 1e5),
    interval=st.floats(0.001, 1e5),
    retry_after=st.none() | st.floats(0, 3600),
)
def test_the_next_poll_is_always_in_the_future(
    due: float, late: float, interval: float, retry_after: float | None
) -> None:
    now = due + late
    after = next_due(due, now, interval, retry_after)
    assert now + (retry_after or 0) <= after <= now + (retry_after or 0) + interval * 1.001


class Clock:
    """A clock that only waiting advances, and which stops before another than so many polls."""

    def __init__(self, polls: int) -> None:
        self.now = 0.0
        self._left = polls - 1

    def __call__(self) -> float:
        return self.now

    def wait(self, wake: threading.Event, seconds: float | None) -> bool:
        if seconds is None or self._left == 0:
            return wake.wait(30)
        self._left -= 1
        self.now += seconds
        return wake.is_set()


def times_of_polls(portal: Portal, count: int) -> list[float]:
    """Return when the first polls of a portal end, on a clock that only waiting advances."""
    clock, ended = Clock(count), list[float]()
    running = Poller(lambda _: ended.append(clock.now), clock, clock.wait)
    running.watch([portal])
    try:
        wait_for(lambda: len(ended) == count, f"{count} polls")
    finally:
        running.stop()
    return ended


def test_a_portal_is_polled_at_once_and_then_every_interval() -> None:
    with FaultyPortal(respond()) as portal:
        assert times_of_polls(portal_at(portal.url, poll_interval=300), 4) == [0, 300, 600, 900]


def test_a_thread_runs_only_while_its_portal_is_polled() -> None:
    hanging = FaultyPortal(hang)
    hung = portal_at(hanging.url, name="hung", poll_timeout=90.0)
    with FaultyPortal(respond()) as healthy, polling(portal_at(healthy.url), hung) as running, hanging:
        wait_for(lambda: running.states[0].polls and polls_of(hanging), "the first polls")
        wait_for(lambda: sorted(threads()) == ["poll hung", "poller"], "the thread of the first to end")


def test_a_poll_fails_if_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Thread.start
    failing = threading.Event()

    def start_unless_failing(thread: threading.Thread) -> None:
        if failing.is_set() and thread.name.startswith("poll "):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_unless_failing)
    with (
        FaultyPortal(respond(body=envelope([record()]))) as portal,
        polling(portal_at(portal.url, poll_interval=0.05)) as running,
    ):
        wait_for(lambda: running.states[0].up, "a poll")
        failing.set()
        wait_for(lambda: running.states[0].failures[Reason.CONNECTION] > 1, "two failures")
        assert running.states[0].snapshot is not None
        assert "cannot start a thread: raise the limit on the number of processes" in caplog.text
        failing.clear()
        wait_for(lambda: running.states[0].up, "a poll")


def test_a_portal_that_hangs_delays_no_other() -> None:
    hanging = FaultyPortal(hang)
    hung = portal_at(hanging.url, name="hung", poll_timeout=90.0)
    with (
        FaultyPortal(respond()) as healthy,
        polling(hung, portal_at(healthy.url, poll_interval=0.1)) as running,
        hanging,
    ):
        wait_for(lambda: running.states[1].polls > 5, "six polls")
        assert running.states[0].polls == 0


def test_first_polls_of_many_portals_are_spread_over_a_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda _: None)
    for count, last in ((2, 0.01), (100, 0.99), (1000, 4.995)):
        waiting = Poller(lambda _: None, clock=lambda: 50.0)
        waiting.watch([portal_at(f"https://{number}.example", name=str(number)) for number in range(count)])
        due = [event.time for event in waiting._schedule.queue]
        assert due[0] == 50.0
        assert due[-1] == pytest.approx(50.0 + last)
        assert due == sorted(due)


def test_a_portal_is_not_polled_before_retry_after() -> None:
    with FaultyPortal(respond(429, Retry_After="1000")) as portal:
        assert times_of_polls(portal_at(portal.url, poll_interval=300), 3) == [0, 1000, 2000]


def test_a_portal_removed_before_its_first_poll_does_not_delay_readiness() -> None:
    hanging = FaultyPortal(hang)
    with FaultyPortal(respond()) as portal:
        one, hung = portal_at(portal.url), portal_at(hanging.url, name="hung", poll_timeout=90.0)
        with polling(one, hung) as running, hanging:
            wait_for(lambda: running.states[0].polls, "the first poll")
            wait_for(lambda: polls_of(hanging), "the poll that hangs")
            assert not running.ready
            running.watch([one])
            assert running.ready


def test_keys_are_kept_when_a_poll_fails_and_a_deleted_key_is_removed_by_the_next_success() -> None:
    two = respond(body=envelope([record(id="1"), record(id="2")]))
    with FaultyPortal(two) as portal:
        first = poller.poll(PortalState(portal_at(portal.url)))
        portal.behave = respond(500)
        failed = poller.poll(first)
        portal.behave = respond(body=envelope([record(id="2")]))
        third = poller.poll(failed)
    assert failed.snapshot is first.snapshot
    assert (first.up, failed.up, third.up) == (True, False, True)
    assert failed.last_success == first.last_success < third.last_success
    assert third.snapshot is not None
    assert [key.id for key in third.snapshot.keys] == ["2"]
    assert third.failures[Reason.SERVER_ERROR] == 1
    assert (first.polls, failed.polls, third.polls) == (1, 2, 3)
    assert 0 < first.poll_seconds < failed.poll_seconds < third.poll_seconds


def test_a_portal_is_neither_up_nor_down_before_its_first_poll() -> None:
    state = PortalState(portal_at("https://acme.example"))
    assert (state.up, state.last_success, state.snapshot) == (None, 0.0, None)
    assert state.failures == dict.fromkeys(Reason, 0)


def test_an_unexpected_exception_fails_the_poll_and_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Snapshot:
        raise KeyError(SECRET)

    monkeypatch.setattr(client, "poll", fail)
    state = poller.poll(PortalState(portal_at("https://acme.example")))
    assert state.failure is not None
    assert state.failure.reason is Reason.INVALID_RESPONSE
    assert state.failure.message == "unexpected KeyError: please report this as a bug"


def test_a_failure_and_the_recovery_are_each_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "docspace_exporter")
    with FaultyPortal(respond(500)) as portal:
        state = PortalState(portal_at(portal.url))
        for behave in (respond(500), respond(502), respond(401), respond(), respond(), respond(500)):
            portal.behave = behave
            state = poller.poll(state)
    logged = [
        (log.levelno, log.getMessage()[:17], getattr(log, "reason", ""))
        for log in caplog.records
        if (log.levelno, log.getMessage()) != (logging.DEBUG, "Poll succeeded")
    ]
    assert logged == [
        (logging.WARNING, "Poll failed: stat", "server_error"),
        (logging.DEBUG, "Poll failed: stat", "server_error"),
        (logging.WARNING, "Poll failed: stat", "unauthorized"),
        (logging.INFO, "Poll succeeded", ""),
        (logging.WARNING, "Poll failed: stat", "server_error"),
    ]
    assert {getattr(log, "portal", "") for log in caplog.records} == {"acme"}
    assert SECRET not in caplog.text


def test_a_successful_poll_is_logged_at_debug_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "docspace_exporter")
    with FaultyPortal(respond(body=envelope([record(), {}]))) as portal:
        poller.poll(PortalState(portal_at(portal.url)))
    (log,) = caplog.records
    assert (log.levelno, log.getMessage()) == (logging.DEBUG, "Poll succeeded")
    assert vars(log).items() >= {"portal": "acme", "keys": 1, "malformed": 1}.items()


def test_a_user_who_does_not_see_every_key_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    member = respond(body=envelope({"isAdmin": False, "isOwner": False}))
    with FaultyPortal(by_path(respond(), own_user=member)) as portal:
        state = PortalState(portal_at(portal.url))
        for _ in range(3):
            state = poller.poll(state)
    (log,) = (log for log in caplog.records if log.levelno == logging.WARNING)
    assert log.getMessage().startswith("Only keys of the exporter's own user are visible")
    assert vars(log)["portal"] == "acme"


def test_the_first_successful_poll_of_a_portal_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "docspace_exporter")
    with (
        FaultyPortal(respond(body=envelope([record()]))) as portal,
        polling(portal_at(portal.url, poll_interval=0.01)) as running,
    ):
        wait_for(lambda: running.states[0].polls > 2, "three polls")
    (log,) = caplog.records
    assert log.getMessage() == "First poll succeeded"
    assert vars(log).items() >= {"portal": "acme", "keys": 1}.items()


def test_polls_continue_if_a_snapshot_cannot_be_exposed(caplog: pytest.LogCaptureFixture) -> None:
    def fail(state: PortalState) -> None:
        raise ValueError(SECRET)

    with FaultyPortal(respond()) as portal:
        running = Poller(fail)
        running.watch([portal_at(portal.url, poll_interval=0.01)])
        wait_for(lambda: running.states[0].polls > 2, "three polls")
        running.stop()
    assert running.ready
    assert "cannot be exposed" in caplog.text
    assert SECRET not in caplog.text


def test_the_poller_is_ready_once_each_portal_has_been_polled_successfully_or_not() -> None:
    hanging = FaultyPortal(hang)
    hung = portal_at(hanging.url, name="hung", poll_timeout=90.0)
    with FaultyPortal(respond(500)) as failing, polling(portal_at(failing.url), hung) as running:
        with hanging:
            wait_for(lambda: running.states[0].polls and polls_of(hanging), "the first polls")
            assert not running.ready
        wait_for(lambda: running.ready, "the hanging poll to end")
        assert [state.up for state in running.states] == [False, False]
        running.watch([hung, portal_at(failing.url, name="later")])
        assert running.ready


def test_the_poller_is_not_ready_before_the_first_states_are_exposed() -> None:
    exposed = threading.Event()
    with (
        FaultyPortal(respond()) as portal,
        polling(portal_at(portal.url), on_poll=lambda _: _wait(exposed)) as running,
    ):
        wait_for(lambda: running.states[0].up, "a successful poll")
        assert not running.ready
        exposed.set()
        wait_for(lambda: running.ready, "readiness")


def test_an_unchanged_portal_keeps_its_state_and_schedule() -> None:
    with FaultyPortal(respond()) as one, FaultyPortal(respond()) as two, FaultyPortal(respond()) as three:
        kept = portal_at(one.url, name="kept")
        with polling(kept, portal_at(two.url, name="changed")) as running:
            wait_for(lambda: running.ready, "first polls")
            before = running.states
            running.watch(
                [
                    portal_at(three.url, name="new"),
                    portal_at(two.url, name="changed", export_owner=False),
                    portal_at(one.url, name="kept"),
                ]
            )
            wait_for(lambda: [state.polls for state in running.states] == [1, 2, 1], "polls of the others")
            after = running.states
            assert [state.portal.name for state in after] == ["new", "changed", "kept"]
            assert after[2] is before[0]
            assert (polls_of(one), polls_of(two), polls_of(three)) == (1, 2, 1)


def test_a_changed_portal_keeps_its_keys_and_counters_and_is_polled_at_once() -> None:
    failing = threading.Event()

    def fail_later(connection: socket.socket, head: str) -> None:
        _wait(failing)
        respond(500)(connection, head)

    with FaultyPortal(respond()) as portal, polling(portal_at(portal.url)) as running:
        wait_for(lambda: running.ready, "the first poll")
        (before,) = running.states
        portal.behave = fail_later
        changed = portal_at(portal.url, poll_interval=60.0)
        running.watch([changed])
        assert running.states == (msgspec.structs.replace(before, portal=changed),)
        failing.set()
        wait_for(lambda: running.states[0].polls == 2, "the second poll")
        (after,) = running.states
        assert (after.up, after.snapshot) == (False, before.snapshot)


@pytest.mark.parametrize("change", ["name", "url"])
def test_a_portal_with_another_name_or_url_is_a_new_one(change: str) -> None:
    portal, other = FaultyPortal(respond()), FaultyPortal(hang)
    with polling(portal_at(portal.url, name="acme")) as running, portal, other:
        wait_for(lambda: running.ready, "the first poll")
        portal.behave = hang
        renamed, moved = portal_at(portal.url, name="other"), portal_at(other.url, name="acme")
        new = renamed if change == "name" else moved
        running.watch([new])
        assert running.states == (PortalState(new),)


def test_a_removed_portal_is_no_longer_polled() -> None:
    with (
        FaultyPortal(respond()) as removed,
        FaultyPortal(respond()) as kept,
        polling(
            portal_at(removed.url, poll_interval=0.05), portal_at(kept.url, name="kept", poll_interval=0.05)
        ) as running,
    ):
        wait_for(lambda: polls_of(removed) > 1, "polls")
        running.watch([portal_at(kept.url, name="kept", poll_interval=0.05)])
        wait_for(lambda: f"poll {portal_at(removed.url).name}" not in threads(), "a running poll to end")
        before, others = polls_of(removed), polls_of(kept)
        wait_for(lambda: polls_of(kept) > others + 3, "polls of the other")
        assert polls_of(removed) == before


def test_a_running_poll_of_a_removed_portal_reports_nothing() -> None:
    reported: list[str] = []
    hanging = FaultyPortal(hang)
    hung = portal_at(hanging.url, name="hung", poll_timeout=90.0)
    with polling(hung, on_poll=lambda state: reported.append(state.portal.name)) as running, hanging:
        wait_for(lambda: polls_of(hanging), "the poll to start")
        running.watch([])
        assert running.states == ()
    assert reported == []
