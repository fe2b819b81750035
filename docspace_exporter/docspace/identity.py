"""What the exporter asks a portal once an hour: its own key and user, and which members are disabled."""

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from docspace_exporter.docspace import members
from docspace_exporter.docspace.api import Api
from docspace_exporter.docspace.body import InvalidResponseError, read_object
from docspace_exporter.docspace.decode import read_id
from docspace_exporter.docspace.failures import PollError, Reason
from docspace_exporter.docspace.model import Identity, Schedule

T = TypeVar("T")

OWN_KEY_PATH = "/api/2.0/keys/@self"
OWN_USER_PATH = "/api/2.0/people/@self"
LIFETIME = 3600
"""Seconds after which a portal is asked again."""

FIRST_RETRY = 60
"""Seconds after which it is asked again if it failed; doubles with each failure, up to LIFETIME."""

_REFUSALS = {Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.NOT_FOUND}


def known_of(key: str, known: Identity | None) -> Identity:
    """Return what is known if it belongs to this API key, or else an identity of which nothing is known."""
    digest = hashlib.sha256(key.encode()).digest()
    return known if known is not None and known.key_digest == digest else Identity(digest)


def refresh(api: Api, known: Identity, clock: Callable[[], float]) -> Identity:
    """Return the identity after asking the portal for what is due; `clock` returns Unix seconds.

    Failed and refused requests leave the own key and user as they were known. Disabled members become
    unknown: a stale or incomplete list would show keys as usable that are not.
    """
    own_key, own_key_schedule = _ask(
        known.own_key_schedule, clock, lambda: read_object(api.get(OWN_KEY_PATH))
    )
    own_user, own_user_schedule = _ask(
        known.own_user_schedule, clock, lambda: read_object(api.get(OWN_USER_PATH))
    )
    sees_every_key = _sees_every_key(own_user or {})
    if sees_every_key is None:
        sees_every_key = known.sees_every_key
    disabled, members_schedule = known.disabled_members, known.members_schedule
    if not sees_every_key:
        # DocSpace server 3.7: to others than admins the list of disabled members is empty.
        disabled, members_schedule = None, Schedule()
    elif _is_due(members_schedule, clock()):
        disabled, members_schedule = _ask(members_schedule, clock, lambda: members.disabled_members(api))
    return Identity(
        key_digest=known.key_digest,
        own_key_id=read_id(own_key or {}) or known.own_key_id,
        sees_every_key=sees_every_key,
        disabled_members=disabled,
        own_key_schedule=own_key_schedule,
        own_user_schedule=own_user_schedule,
        members_schedule=members_schedule,
    )


def _ask(
    schedule: Schedule, clock: Callable[[], float], request: Callable[[], T]
) -> tuple[T | None, Schedule]:
    """Return the result of a request that is due, None if it is not or fails; and when it is due again."""
    if not _is_due(schedule, clock()):
        return None, schedule
    try:
        return request(), Schedule(clock() + LIFETIME)
    except InvalidResponseError:
        return None, Schedule(clock() + LIFETIME)
    except PollError as error:
        if error.reason in _REFUSALS:
            return None, Schedule(clock() + LIFETIME)
        delay = min(LIFETIME, FIRST_RETRY * 2.0 ** min(schedule.failures, 10))
        return None, Schedule(clock() + max(delay, error.retry_after or 0), schedule.failures + 1)


def _is_due(schedule: Schedule, now: float) -> bool:
    """Return whether to ask now; a time further ahead than any is set comes from a clock that was wrong."""
    return not 0 < schedule.due - now <= LIFETIME


def _sees_every_key(user: dict[str, Any]) -> bool | None:
    """DocSpace server 3.7: an admin or the owner sees every key of the portal, any other member their own."""
    roles = user.get("isAdmin"), user.get("isOwner")
    if any(role is True for role in roles):
        return True
    return False if all(role is False for role in roles) else None
