"""What the dashboard should say of keys, from the keys themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from docspace_exporter.demo import DemoKey

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Truth:
    """Keys of one portal at one moment, with the default thresholds."""

    keys: Sequence[DemoKey]
    now: datetime
    own: Sequence[str] = ("prometheus exporter",)
    """The names of the keys that the exporter uses."""
    excepted: Sequence[str] = ()
    """The names of the keys that may expire."""

    def tiles(self) -> Mapping[str, int]:
        """Return what the tiles count."""
        return {
            "Critical": self._count(lambda key: self._expiring(key) and self.below(key, 3, 10)),
            "Warning": self._count(lambda key: self._expiring(key) and self.below(key, 14, 3)),
            "Expired in use": self._count(self._expired_in_use),
            "Owner disabled": self._count(
                lambda key: self._rejected(key) and key.owner.is_blocked and key.active
            ),
            "Exporter's key": self._count(lambda key: key.name in self.own and self.below(key, 14, 3)),
            "Unused": self._count(lambda key: key.active and self._unused(key)),
            "Full access": self._count(lambda key: key.active and not key.permissions),
            "Never expire": self._count(lambda key: key.active and key.expires is None),
        }

    def state(self, key: DemoKey) -> str:
        """Return the word in the column State."""
        rejected = key.owner.is_blocked and self._idle(key) <= 7 * DAY
        states = (
            ("expired", self._is_over(key)),
            ("off", not key.active),
            ("replaced", self._succeeded(key)),
            ("excepted", key.name in self.excepted),
            ("critical", self.below(key, 3, 10)),
            ("owner disabled", rejected),
            ("warning", self.below(key, 14, 3)),
            ("owner disabled", key.owner.is_blocked),
            ("ok", True),
        )
        return next(state for state, holds in states if holds)

    def asks_for_something(self, key: DemoKey) -> bool:
        """Return whether the state is red or orange."""
        state = self.state(key)
        if state == "expired":
            return self._expired_in_use(key)
        if state in {"off", "owner disabled"}:
            return self._rejected(key)
        return state in {"critical", "warning"}

    def below(self, key: DemoKey, days: int, part: int) -> bool:
        """Return whether a key has less time left than days and a part of its lifetime."""
        if key.expires is None:
            return False
        return key.expires < self.now + min(days * DAY, (key.expires - key.created) / part)

    def _count(self, condition: Callable[[DemoKey], bool]) -> int:
        return sum(map(condition, self.keys))

    def _expiring(self, key: DemoKey) -> bool:
        exempt = key.name in self.own or key.name in self.excepted
        return key.active and not self._is_over(key) and not self._succeeded(key) and not exempt

    def _expired_in_use(self, key: DemoKey) -> bool:
        if key.expires is None or not key.expires <= self.now <= key.expires + 7 * DAY:
            return False
        return self._idle(key) <= 90 * DAY and not self._succeeded(key) and key.name not in self.excepted

    def _rejected(self, key: DemoKey) -> bool:
        return not self._is_over(key) and self._idle(key) <= 7 * DAY and not self._succeeded(key)

    def _is_over(self, key: DemoKey) -> bool:
        return key.expires is not None and key.expires <= self.now

    def _idle(self, key: DemoKey) -> timedelta:
        end = min(self.now, key.expires) if key.expires else self.now
        return end - key.last_used if key.last_used else timedelta.max

    def _unused(self, key: DemoKey) -> bool:
        if key.last_used is None:
            return key.created <= self.now - 30 * DAY
        return key.last_used < self.now - 90 * DAY

    def _succeeded(self, key: DemoKey) -> bool:
        return self._idle(key) >= DAY and any(
            other.active
            and (other.name, other.owner.id) == (key.name, key.owner.id)
            and key.expires is not None
            and (other.expires is None or other.expires > key.expires)
            for other in self.keys
        )
