"""Who takes part in the simulated year: portals with services that rotate keys, and exporters that fail."""

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tests.support.year import DAY, HOUR, LIFETIMES, YEAR, Alert, Key, Portal, Replica, Spans, truth

STEADY_BEFORE, STEADY_AFTER = 90 * 60.0, 20 * 60.0
"""For how long the truth has not changed, so that all alerts have had the time to fire or resolve."""


@dataclass(frozen=True)
class Moment:
    """A moment at which no alert is about to change."""

    portal: Portal
    time: float
    alerts: frozenset[Alert]


def year(seed: int) -> list[Portal]:
    """Return portals with all that happens to them in a year."""
    chance = random.Random(seed)
    portals = []
    for lifetimes in itertools.combinations(LIFETIMES, 2):
        for kind in _KINDS:
            name = f"{kind.__name__.removeprefix('_')}-{'-'.join(map(str, lifetimes))}"
            portals.append(
                kind(chance, Portal(name=name, keys=_keys(chance, name, lifetimes), replicas=(Replica(),)))
            )
    return portals


def steady_moments(portals: list[Portal], count: int, seed: int) -> list[Moment]:
    """Return random moments: three in four with an alert, half of them in a time of trouble."""
    chance = random.Random(seed)
    moments: list[Moment] = []
    quiet = 0
    while len(moments) < count:
        portal = portals[len(moments) % len(portals)]
        time = _random_time(chance, portal)
        alerts = truth(portal, time)
        if not alerts and quiet >= count // 4:
            continue
        if _is_steady(portal, time):
            moments.append(Moment(portal, time, alerts))
            quiet += not alerts
    return moments


def _is_steady(portal: Portal, time: float) -> bool:
    """Return whether neither the truth nor the zones that alerts may carry change around a moment."""

    def state(moment: float) -> tuple[frozenset[Alert], list[Replica]]:
        return truth(portal, moment), portal.running(moment) if len(portal.replicas) > 1 else []

    around = range(int(time - STEADY_BEFORE), int(time + STEADY_AFTER) + 1, 600)
    return all(state(moment) == state(time) for moment in around)


def _random_time(chance: random.Random, portal: Portal) -> float:
    troubles = [*portal.outages, *(span for replica in portal.replicas for span in replica.troubles)]
    if troubles and chance.random() < 0.5:
        begin, end = chance.choice(troubles)
        time = chance.uniform(min(begin + STEADY_BEFORE, end), end + 2 * HOUR)
    else:
        time = chance.uniform(DAY, YEAR)
    return max(DAY, time // 600 * 600)


def _spans(chance: random.Random, every: float, longest: float) -> Spans:
    """Return spans of random lengths, that many days apart on average."""
    spans, time = [], chance.uniform(0, every * DAY)
    while time < YEAR:
        end = time + chance.uniform(longest / 20, longest)
        spans.append((time // 600 * 600, end // 600 * 600 + 600))
        time = end + chance.uniform(0.2, 1.8) * every * DAY
    return tuple(spans)


def _plain(_: random.Random, portal: Portal) -> Portal:
    return portal


def _strict(_: random.Random, portal: Portal) -> Portal:
    return replace(portal, warning=30 * DAY, critical=7 * DAY)


def _lax(_: random.Random, portal: Portal) -> Portal:
    return replace(portal, warning=2 * DAY, critical=DAY)


def _failing(chance: random.Random, portal: Portal) -> Portal:
    return replace(portal, outages=_spans(chance, every=9, longest=20 * HOUR))


def _restarting(chance: random.Random, portal: Portal) -> Portal:
    replicas = (Replica(stopped=_spans(chance, every=4, longest=8 * HOUR)),)
    return replace(portal, replicas=replicas, outages=_spans(chance, every=6, longest=16 * HOUR))


def _replicated(chance: random.Random, portal: Portal) -> Portal:
    replicas = (
        Replica(stopped=_spans(chance, every=5, longest=8 * HOUR)),
        Replica(zone="b", stopped=_spans(chance, every=7, longest=8 * HOUR), owners=False, offset=120),
    )
    return replace(portal, replicas=replicas)


def _clock(chance: random.Random, portal: Portal) -> Portal:
    ahead = _spans(chance, every=3, longest=HOUR / 3)
    return replace(portal, replicas=(Replica(ahead=ahead), Replica(zone="b", offset=60)))


def _alone_with_a_clock(chance: random.Random, portal: Portal) -> Portal:
    """Polls of a clock that is ahead succeed, so nothing is wrong."""
    return replace(portal, replicas=(Replica(ahead=_spans(chance, every=3, longest=HOUR / 3)),))


def _excepting(chance: random.Random, portal: Portal) -> Portal:
    exceptions = tuple(
        (key.id, allow, chance.choice([math.inf, key.created // DAY * DAY + chance.randrange(1, 200) * DAY]))
        for key in portal.keys
        for allow in ("expiry", "unused", "never_expires", "full_access")
        if chance.random() < 0.3
    )
    return replace(portal, exceptions=exceptions)


_KINDS = (
    *(_plain, _strict, _lax, _failing, _restarting),
    *(_replicated, _clock, _alone_with_a_clock, _excepting),
)


def _keys(chance: random.Random, portal: str, lifetimes: Sequence[int]) -> tuple[Key, ...]:
    services = [
        key
        for lifetime in lifetimes
        for key in _rotated(chance, f"{portal}-{lifetime}d", lifetime * DAY, f"Owner {lifetime % 4}")
    ]
    own = [
        Key(
            id=f"{portal}-own-{number}",
            name="exporter",
            owner="Admin",
            created=number * 80 * DAY,
            expiry=number * 80 * DAY + 90 * DAY,
            deleted=number * 80 * DAY + 80 * DAY + HOUR,
            used_from=number * 80 * DAY,
            used_until=math.inf,
            own=True,
        )
        for number in range(5)
    ]
    return (*services, *own, *_lasting(chance, portal))


def _rotated(chance: random.Random, name: str, lifetime: float, owner: str) -> Iterator[Key]:
    """Yield the keys of a service, one after the other: replaced in time, late, or when it is too late."""
    created, deployed = -lifetime * chance.random(), -lifetime
    for number in itertools.count():
        if created > YEAR:
            return
        expiry = created + lifetime
        successor = chance.choice(
            [
                expiry - lifetime * chance.uniform(0.1, 0.4),
                expiry - lifetime * chance.uniform(0.01, 0.1),
                expiry + chance.uniform(HOUR, 3 * DAY),
            ]
        )
        switched = successor + lifetime * chance.uniform(0.02, 0.3)
        never = math.inf
        yield Key(
            id=f"{name}-{number:03}",
            name=name if chance.random() < 0.8 else f"{name} {number}",
            owner=owner,
            created=created,
            expiry=expiry,
            tells_creation=chance.random() < 0.9,
            deleted=max(switched, expiry) + chance.uniform(HOUR, min(9 * DAY, lifetime)),
            used_from=max(created, deployed) if chance.random() < 0.9 else never,
            used_until=switched,
            disabled_from=chance.uniform(created, expiry) if chance.random() < 0.1 else never,
            owner_disabled_from=chance.uniform(created, expiry) if chance.random() < 0.1 else never,
        )
        created, deployed = successor, switched


def _lasting(chance: random.Random, portal: str) -> Iterator[Key]:
    """Yield keys without an expiry."""
    for number in range(2):
        created = chance.uniform(-200 * DAY, YEAR)
        used = chance.random() < 0.7
        yield Key(
            id=f"{portal}-lasting-{number}",
            name=f"lasting {number}",
            owner="Admin",
            created=created,
            deleted=created + chance.uniform(30 * DAY, 300 * DAY),
            used_from=created if used else math.inf,
            used_until=created + chance.uniform(0, 200 * DAY),
            full_access=chance.random() < 0.5,
        )
