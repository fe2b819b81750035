"""What the configuration says about a key: when its alerts begin, and what somebody has accepted."""

import fnmatch
import functools
import math
import re
from collections.abc import Iterator, Mapping

from docspace_exporter.config.exceptions import KeyException
from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace.model import ApiKey, Snapshot


def thresholds(key: ApiKey, portal: Portal) -> Mapping[str, float]:
    """Return how long before a key's expiry its alerts of each severity begin, in seconds.

    As configured, but at most a third and a tenth of the key's lifetime. Empty for a key that never expires
    or whose expiry cannot be read.
    """
    if key.expiry is None or math.isinf(key.expiry):
        return {}
    lifetime = math.inf if key.created is None else key.expiry - key.created
    if lifetime <= 0:  # one of the dates is wrong
        lifetime = math.inf
    return {
        "warning": min(portal.expiry_warning, lifetime / 3),
        "critical": min(portal.expiry_critical, lifetime / 10),
    }


def exceptions_for(key: ApiKey, portal: Portal, snapshot: Snapshot) -> tuple[KeyException, ...]:
    """Return the exceptions that match a key, over or not; the exporter's own key has none."""
    if not portal.exceptions or key.id == snapshot.identity.own_key_id:
        return ()
    return tuple(exception for exception in portal.exceptions if _matches(exception, key))


def allowed(key: ApiKey, portal: Portal, snapshot: Snapshot) -> Mapping[str, float]:
    """Return what exceptions allow a key, and the Unix seconds from which each no longer does."""
    end: dict[str, float] = {}
    for exception in exceptions_for(key, portal, snapshot):
        for allow in exception.allow:
            end[allow] = max(exception.end, end.get(allow, 0))
    return end


def ineffective_exceptions(portal: Portal, snapshot: Snapshot, now: float) -> Iterator[tuple[int, str]]:
    """Yield the position of each exception without effect, and why it has none."""
    for index, exception in enumerate(portal.exceptions):
        matches = [key.id for key in snapshot.keys if _matches(exception, key)]
        if exception.end <= now:
            yield index, f"ended on {exception.until}: remove it"
        elif not matches:
            yield index, "matches no key: correct or remove it"
        elif matches == [snapshot.identity.own_key_id]:
            yield index, "matches only the exporter's own key, which cannot be excepted: remove it"


def _matches(exception: KeyException, key: ApiKey) -> bool:
    return (
        _fits(exception.id, key.id) and _fits(exception.name, key.name) and _fits(exception.owner, key.owner)
    )


def _fits(pattern: str | None, text: str) -> bool:
    return pattern is None or _compiled(pattern).match(text) is not None


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern in which only `*` and `?` are special, unlike in fnmatch."""
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
