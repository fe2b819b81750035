"""When to poll, and what to keep: each portal's newest state, from which a failed poll removes nothing."""

import logging
import math
import sched
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from docspace_exporter import policy
from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace import client
from docspace_exporter.docspace.failures import PollError, Reason
from docspace_exporter.docspace.model import Snapshot

logger = logging.getLogger(__name__)

FIRST_RETRY = 15.0
"""Seconds after which a failed first poll is repeated; doubles with each failure, up to the interval."""

LOGGED_KEYS = 10
"""Keys that one log line names at most."""

LONGEST_SPREAD = 5.0
"""Seconds over which the first polls of many portals are spread."""


class PortalState(msgspec.Struct, frozen=True):
    """What is known about one portal."""

    portal: Portal
    snapshot: Snapshot | None = None
    """Of the newest successful poll."""
    failure: PollError | None = None
    """Of the newest poll."""
    polls: int = 0
    poll_seconds: float = 0.0
    failures: Mapping[Reason, int] = MappingProxyType(dict.fromkeys(Reason, 0))
    polled: Portal | None = None
    """The portal as it was configured at the newest poll."""

    @property
    def up(self) -> bool | None:
        """Whether the newest poll succeeded; None until the first has ended."""
        return self.failure is None if self.polls else None

    @property
    def reconfigured(self) -> bool:
        """Whether the portal has not yet been polled as it is configured now."""
        return self.polled != self.portal

    @property
    def last_success(self) -> float:
        """Unix seconds of the newest successful poll; 0 before the first."""
        return self.snapshot.received if self.snapshot else 0.0


def poll(state: PortalState, clock: Callable[[], float] = time.time) -> PortalState:
    """Return the state after one more poll; `clock` returns Unix seconds.

    Nothing that a portal sends raises an exception.
    """
    start = time.monotonic()
    snapshot, failure = state.snapshot, None
    try:
        snapshot = client.poll(state.portal, snapshot.identity if snapshot else None, clock)
    except PollError as error:
        failure = error
    except Exception as error:
        # Unexpected, so its text may hold a secret.
        message = f"unexpected {type(error).__name__}: please report this as a bug"
        failure = PollError(Reason.INVALID_RESPONSE, message)
    return _after_poll(state, snapshot, failure, time.monotonic() - start)


def _after_poll(
    state: PortalState, snapshot: Snapshot | None, failure: PollError | None, seconds: float
) -> PortalState:
    failures = dict(state.failures)
    if failure:
        failures[failure.reason] += 1
    _log(state, failure, snapshot)
    return PortalState(
        portal=state.portal,
        snapshot=snapshot,
        failure=failure,
        polls=state.polls + 1,
        poll_seconds=state.poll_seconds + seconds,
        failures=MappingProxyType(failures),
        polled=state.portal,
    )


def _log(before: PortalState, failure: PollError | None, snapshot: Snapshot | None) -> None:
    """Log a failure once, not at every poll that repeats it with the same configuration."""
    portal = {"portal": before.portal.name}
    if failure:
        known = None if before.reconfigured else before.failure
        repeated = known is not None and known.reason == failure.reason
        level = logging.DEBUG if repeated else logging.WARNING
        logger.log(
            level, "Poll failed: %s", failure.message, extra={**portal, "reason": failure.reason.value}
        )
    elif snapshot:
        level = logging.INFO if before.failure else logging.DEBUG
        counts = {"keys": len(snapshot.keys), "malformed": snapshot.malformed}
        logger.log(level, "Poll succeeded", extra={**portal, **counts})
        _log_view(before, snapshot)
        _log_malformed(before, snapshot)
        _log_exceptions(before, snapshot)


def _log_view(before: PortalState, snapshot: Snapshot) -> None:
    """Log once that the keys of other users are not visible."""
    seen_before = before.snapshot.identity.sees_every_key if before.snapshot else None
    if snapshot.identity.sees_every_key is False and seen_before is not False:
        message = "Only keys of the exporter's own user are visible: configure a key that an admin created"
        logger.warning(message, extra={"portal": before.portal.name})


def _log_malformed(before: PortalState, snapshot: Snapshot) -> None:
    """Log which fields of which keys cannot be read, as a warning if that is new. Values are not logged."""
    malformed = {key.id: key.malformed for key in snapshot.keys if key.malformed}
    if not malformed:
        return
    known = (
        {key.id: key.malformed for key in before.snapshot.keys if key.malformed} if before.snapshot else {}
    )
    named = [f"{id_} ({' '.join(fields)})" for id_, fields in malformed.items()]
    more = ["…"] if len(named) > LOGGED_KEYS else []
    level = logging.DEBUG if malformed == known else logging.WARNING
    keys = ", ".join([*named[:LOGGED_KEYS], *more])
    logger.log(level, "Some fields cannot be read", extra={"portal": before.portal.name, "keys": keys})


def _log_exceptions(before: PortalState, snapshot: Snapshot) -> None:
    """Log once that an exception has no effect."""
    portal, old = before.portal, None if before.reconfigured else before.snapshot
    known = set(policy.ineffective_exceptions(portal, old, old.received)) if old else set()
    for index, reason in policy.ineffective_exceptions(portal, snapshot, snapshot.received):
        if (index, reason) not in known:
            about = {"portal": portal.name, "exception": f"exceptions[{index}]"}
            logger.warning("The exception %s", reason, extra=about)


def interval_after(state: PortalState) -> float:
    """Return the seconds between the newest poll of a portal and the next.

    Until one succeeds, failed polls are repeated sooner: keys of which nothing is known alert nobody.
    """
    if state.snapshot or not state.polls:
        return state.portal.poll_interval
    return min(state.portal.poll_interval, FIRST_RETRY * 2.0 ** min(state.polls - 1, 20))


def next_due(due: float, now: float, interval: float, retry_after: float | None) -> float:
    """Return when to poll next: on schedule, skipping missed polls, and not before the portal allows it."""
    missed = max(0, math.floor((now - due) / interval))
    return max(due + (missed + 1) * interval, now + (retry_after or 0.0))


class _Target:
    """A portal that is polled: its newest state, and its place in the schedule."""

    def __init__(self, state: PortalState, due: float) -> None:
        self.state = state
        self.due = due
        self.reported = False
        """Whether `on_poll` has returned once."""
        self.removed = False


class Poller:
    """Polls each portal on its own interval, each time in a new thread: a hanging portal delays no other."""

    def __init__(
        self,
        on_poll: Callable[[PortalState], None],
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float | None], bool] = threading.Event.wait,
    ) -> None:
        """`on_poll` is called with a portal's state after each poll, for several portals at the same time."""
        self._on_poll = on_poll
        self._clock = clock
        self._wait = wait
        self._targets: tuple[_Target, ...] = ()
        self._ready = False
        self._schedule = sched.scheduler(clock)
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)

    @property
    def states(self) -> tuple[PortalState, ...]:
        """The newest state of each portal, in the order of the configuration."""
        return tuple(target.state for target in self._targets)

    @property
    def ready(self) -> bool:
        """True once every portal has been polled, successfully or not, and `on_poll` has returned.

        A portal added later does not change it.
        """
        return self._ready

    def _check_ready(self) -> None:
        self._ready = self._ready or all(target.reported for target in self._targets)

    def watch(self, portals: Sequence[Portal]) -> None:
        """Poll these portals from now on.

        One that is unchanged keeps its state and schedule; one whose name and URL are unchanged keeps its
        state, and is polled at once.
        """
        kept = {target.state.portal: target for target in self._targets}
        states = {_key(state.portal): state for state in self.states}
        fresh = [portal for portal in portals if portal not in kept]
        step = min(0.01, LONGEST_SPREAD / max(1, len(fresh)))
        now = self._clock()
        added = {
            portal: _Target(_configured(portal, states.get(_key(portal))), now + position * step)
            for position, portal in enumerate(fresh)
        }
        self._targets = tuple(added.get(portal) or kept.pop(portal) for portal in portals)
        for target in kept.values():
            target.removed = True
        self._check_ready()  # the last portal without a poll may have been removed
        for target in added.values():
            self._enter(target)
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """Start no more polls; a running one ends by itself, and is not reported."""
        self._stopped = True
        self._wake.set()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.clear()
            self._wait(self._wake, self._schedule.run(blocking=False))

    def _enter(self, target: _Target) -> None:
        self._schedule.enterabs(target.due, 0, self._start, (target,))
        self._wake.set()

    def _start(self, target: _Target) -> None:
        if self._stopped or target.removed:
            return
        name = f"poll {target.state.portal.name}"
        try:
            threading.Thread(target=self._poll, args=(target,), name=name, daemon=True).start()
        except RuntimeError:
            message = "cannot start a thread: raise the limit on the number of processes"
            failure = PollError(Reason.CONNECTION, message)
            self._end(target, _after_poll(target.state, target.state.snapshot, failure, 0.0))

    def _poll(self, target: _Target) -> None:
        self._end(target, poll(target.state))

    def _end(self, target: _Target, state: PortalState) -> None:
        if self._stopped or target.removed:
            return
        target.state = state
        _report(state, self._on_poll)
        target.reported = True
        self._check_ready()
        retry_after = state.failure.retry_after if state.failure else None
        target.due = next_due(target.due, self._clock(), interval_after(state), retry_after)
        self._enter(target)


def _key(portal: Portal) -> tuple[str, str]:
    return portal.name, portal.url


def _configured(portal: Portal, known: PortalState | None) -> PortalState:
    """Return the state of a portal that is configured in this way from now on."""
    return msgspec.structs.replace(known, portal=portal) if known else PortalState(portal)


def _report(state: PortalState, on_poll: Callable[[PortalState], None]) -> None:
    portal = {"portal": state.portal.name}
    if state.polls == 1 and state.snapshot:
        logger.info("First poll succeeded", extra={**portal, "keys": len(state.snapshot.keys)})
    try:
        on_poll(state)
    except Exception as error:
        # The polls must go on; the error's text may quote anything.
        fault = {**portal, "error": type(error).__name__}
        logger.log(logging.ERROR, "A poll cannot be exposed: please report this as a bug", extra=fault)
