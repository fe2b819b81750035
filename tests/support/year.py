"""A simulated year: what exporters expose at each moment, and which alerts are right."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from docspace_exporter.config.portals import Portal as PolledPortal
from docspace_exporter.docspace.model import ApiKey
from docspace_exporter.policy import thresholds

HOUR, DAY = 3600.0, 86_400.0
YEAR = 365 * DAY
SCRAPE_INTERVAL = 600.0
POLL_INTERVAL = 300.0
KEPT = 6 * HOUR
"""How long the rules keep what an exporter exposed that is gone."""
LIFETIMES = (1, 7, 30, 90, 365)
"""Days."""

Series = tuple[str, tuple[tuple[str, str], ...]]
Alert = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key. Times are seconds since the year began; infinite for what never happens."""

    id: str
    name: str
    owner: str
    created: float
    expiry: float = math.inf
    tells_creation: bool = True
    deleted: float = math.inf
    used_from: float = math.inf
    used_until: float = math.inf
    disabled_from: float = math.inf
    owner_disabled_from: float = math.inf
    full_access: bool = False
    own: bool = False
    """Whether the exporter uses it."""

    def exists(self, time: float) -> bool:
        """Return whether the portal lists it."""
        return self.created <= time < self.deleted

    def active(self, time: float) -> bool:
        """Return whether it is active; the portal disables an expired key within 10 minutes."""
        return time < min(self.disabled_from, self.expiry + 600)

    def last_used(self, time: float) -> float | None:
        """Return when it was last used; it is used every 10 minutes."""
        if time < self.used_from:
            return None
        return min(time, self.used_until, self.expiry) // 600 * 600

    def replaced(self, others: tuple["Key", ...], time: float) -> bool:
        """Return whether another active key of the same owner and name expires later."""
        return any(
            (other.name, other.owner) == (self.name, self.owner)
            and other.active(time)
            and other.expiry > self.expiry
            for other in others
        )


Spans = tuple[tuple[float, float], ...]


def within(spans: Spans, time: float) -> bool:
    """Return whether a moment is in one of some spans."""
    return any(begin <= time < end for begin, end in spans)


@dataclass(frozen=True, kw_only=True)
class Replica:
    """One exporter."""

    zone: str = "a"
    stopped: Spans = ()
    ahead: Spans = ()
    """When its clock is a day ahead."""
    owners: bool = True
    offset: float = 0.0
    """Seconds from the full 5 minutes to its polls."""

    @property
    def troubles(self) -> Spans:
        """When something is wrong with it."""
        return (*self.stopped, *self.ahead)

    def started(self, time: float) -> float:
        """Return when it last started."""
        return max((end for _, end in self.stopped if end <= time), default=-YEAR)


@dataclass(frozen=True, kw_only=True)
class Portal:
    """One portal with what polls it."""

    name: str
    keys: tuple[Key, ...]
    replicas: tuple[Replica, ...]
    outages: Spans = ()
    warning: float = 14 * DAY
    critical: float = 3 * DAY
    exceptions: tuple[tuple[str, str, float], ...] = ()
    """Id of a key, what it is allowed, and until when."""

    def polled(self, replica: Replica, time: float) -> float | None:
        """Return when a running exporter last polled successfully, if it did."""
        poll = (time - replica.offset) // POLL_INTERVAL * POLL_INTERVAL + replica.offset
        while within(self.outages, poll):
            poll -= POLL_INTERVAL
        return poll if poll >= replica.started(time) else None

    def running(self, time: float) -> list[Replica]:
        """Return the exporters that are scraped."""
        return [replica for replica in self.replicas if not within(replica.stopped, time)]

    def listed(self, time: float) -> tuple[Key, ...]:
        """Return the keys that exist."""
        return tuple(key for key in self.keys if key.exists(time))

    @cached_property
    def polled_portal(self) -> PolledPortal:
        """The exporter's configuration."""
        return PolledPortal(
            url="https://portal.example",
            name=self.name,
            expiry_warning=self.warning,
            expiry_critical=self.critical,
        )

    def allowed(self, key: Key, time: float) -> set[str]:
        """Return what a key is excepted from."""
        return {
            allow for id_, allow, until in self.exceptions if id_ == key.id and time < until and not key.own
        }


def exposed(portal: Portal, replica: Replica, time: float) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """Yield what one exporter exposes at a scrape: metric, labels besides the portal's, value."""
    if within(replica.stopped, time):
        return
    poll = portal.polled(replica, time)
    newest = (time - replica.offset) // POLL_INTERVAL * POLL_INTERVAL + replica.offset
    clock = 0.0 if poll is None else poll + DAY * within(replica.ahead, poll)
    yield "docspace_up", {}, float(not within(portal.outages, newest))
    yield "docspace_poll_interval_seconds", {}, POLL_INTERVAL
    yield "docspace_poll_last_success_timestamp_seconds", {}, clock
    yield "docspace_portal_info", {"url": f"https://{portal.name}.example"}, 1.0
    if poll is None:
        return
    yield "docspace_api_keys_complete", {}, 1.0
    yield "docspace_api_keys_malformed", {}, 0.0
    listed = portal.listed(poll)
    for key in listed:
        labels = {"id": key.id, "name": key.name, "postfix": key.id[-4:]}
        yield "docspace_api_key_last_seen_timestamp_seconds", labels, clock
        for metric, value in _facts(key, listed, poll):
            yield metric, labels, value
        yield "docspace_api_key_info", labels | _info(key, replica), 1.0
        for severity, seconds in _thresholds(portal, key).items():
            yield "docspace_api_key_expiry_threshold_seconds", labels | {"severity": severity}, seconds
        for allow in portal.allowed(key, time):
            yield "docspace_api_key_exception", labels | {"allow": allow}, 1.0


def _facts(key: Key, listed: tuple[Key, ...], poll: float) -> Iterator[tuple[str, float]]:
    yield "docspace_api_key_active", float(key.active(poll))
    yield "docspace_api_key_owner_active", float(poll < key.owner_disabled_from)
    yield "docspace_api_key_replaced", float(key.replaced(listed, poll))
    if key.tells_creation:
        yield "docspace_api_key_created_timestamp_seconds", key.created
    if key.expiry < math.inf:
        yield "docspace_api_key_expiry_timestamp_seconds", key.expiry
    if (used := key.last_used(poll)) is not None:
        yield "docspace_api_key_last_used_timestamp_seconds", used


def _info(key: Key, replica: Replica) -> dict[str, str]:
    return {
        "owner": key.owner if replica.owners else "",
        "access": "full" if key.full_access else "scoped",
        "self": "true" if key.own else "false",
    }


def _thresholds(portal: Portal, key: Key) -> Mapping[str, float]:
    created = key.created if key.tells_creation else None
    return thresholds(ApiKey(id=key.id, created=created, expiry=key.expiry), portal.polled_portal)


def truth(portal: Portal, time: float) -> frozenset[Alert]:
    """Return the labels of the alerts that are right, from the state of the world alone."""
    scrapes = [
        (replica, scrape)
        for replica in portal.replicas
        for scrape in _last_scrapes(replica, time)
        if scrape > time - KEPT
    ]
    if not scrapes:
        return frozenset()
    polls = [
        (poll, scrape) for replica, scrape in scrapes if (poll := portal.polled(replica, scrape)) is not None
    ]
    exported = bool(portal.running(time))
    alerts = {_alert(portal, "DocSpacePortalMissing", "critical")} if not exported else set()
    if exported and (not polls or time - max(polls)[0] > 900):
        alerts.add(_alert(portal, "DocSpacePortalDown", "critical"))
    if polls:
        newest, scrape = max(polls)
        listed = portal.listed(newest)
        for key in listed:
            alerts.update(_right_key_alerts(portal, key, listed, newest, time, scrape))
        shown = [
            key
            for key in listed
            if any(_shows(portal, replica, key, time) for replica in portal.running(time))
        ]
        alerts.update(_right_counts(portal, shown, newest, time))
    return frozenset(alerts)


def _last_scrapes(replica: Replica, time: float) -> Iterator[float]:
    """Yield when an exporter was last scraped, and before each of its stops."""
    if not within(replica.stopped, time):
        yield time
    for begin, _ in replica.stopped:
        if begin <= time:
            yield begin - SCRAPE_INTERVAL


def _shows(portal: Portal, replica: Replica, key: Key, time: float) -> bool:
    poll = portal.polled(replica, time)
    return poll is not None and key.exists(poll)


def _right_key_alerts(
    portal: Portal, key: Key, listed: tuple[Key, ...], poll: float, time: float, scrape: float
) -> Iterator[Alert]:
    left, used = key.expiry - time, key.last_used(poll)
    idle = None if used is None else max(min(time, key.expiry) - used, 0)
    succeeded = key.replaced(listed, poll) and not (idle is not None and idle < DAY)
    lifetime = key.expiry - key.created if key.tells_creation else math.inf
    excepted = "expiry" in portal.allowed(key, scrape)
    recently = idle is not None and idle <= 7 * DAY and left > 0 and not succeeded
    holds = {
        ("DocSpaceApiKeyExpiringSoon", "warning"): 0 < left < min(portal.warning, lifetime / 3)
        and not (key.own or succeeded or excepted or not key.active(poll)),
        ("DocSpaceApiKeyExpiryImminent", "critical"): 0 < left < min(portal.critical, lifetime / 10)
        and not (key.own or succeeded or excepted or not key.active(poll)),
        ("DocSpaceApiKeyExpiredInUse", "critical"): -7 * DAY <= left <= 0
        and idle is not None
        and idle <= 90 * DAY
        and not (succeeded or excepted),
        ("DocSpaceApiKeyDisabledInUse", "warning"): recently and not key.active(poll),
        ("DocSpaceApiKeyOwnerDisabled", "warning"): recently
        and key.active(poll)
        and poll >= key.owner_disabled_from,
        ("DocSpaceExporterKeyExpiring", "critical"): key.own and left < min(portal.warning, lifetime / 3),
    }
    knows_owner = any(
        replica.owners and _shows(portal, replica, key, scrape) for replica in portal.running(scrape)
    ) or not any(_shows(portal, replica, key, scrape) for replica in portal.running(scrape))
    owner = {"owner": key.owner} if knows_owner else {}
    for (name, severity), is_right in holds.items():
        if is_right:
            yield _alert(portal, name, severity, id=key.id, name=key.name, postfix=key.id[-4:], **owner)


def _right_counts(portal: Portal, shown: list[Key], poll: float, time: float) -> Iterator[Alert]:
    def unused(key: Key) -> bool:
        used = key.last_used(poll)
        if used is None:
            return key.tells_creation and time - key.created >= 30 * DAY
        return min(time, key.expiry) - used > 90 * DAY

    counted: dict[tuple[str, str], Callable[[Key], bool]] = {
        ("DocSpaceApiKeysUnused", "unused"): unused,
        ("DocSpaceApiKeysNeverExpire", "never_expires"): lambda key: key.expiry == math.inf,
        ("DocSpaceApiKeysFullAccess", "full_access"): lambda key: key.full_access,
    }
    for (name, allow), counts in counted.items():
        if any(key.active(poll) and counts(key) and allow not in portal.allowed(key, time) for key in shown):
            yield _alert(portal, name, "info")


def _alert(portal: Portal, alertname: str, severity: str, **labels: str) -> Alert:
    labels |= {"alertname": alertname, "severity": severity, "portal": portal.name}
    return tuple(sorted(labels.items()))
