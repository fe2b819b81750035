"""One poll of a portal: the requests, and what their responses and failures mean."""

import hashlib
import time
from typing import Any

import msgspec
import requests
import urllib3

from docspace_exporter.config.portals import KeyUnreadableError, Portal
from docspace_exporter.docspace import decode, transport
from docspace_exporter.docspace.failures import PollError, Reason, error_from_exception, error_from_status
from docspace_exporter.docspace.model import Identity, Snapshot

KEYS_PATH = "/api/2.0/keys"
OWN_KEY_PATH = "/api/2.0/keys/@self"
OWN_USER_PATH = "/api/2.0/people/@self"
IDENTITY_LIFETIME = 3600
"""Seconds after which the portal is asked again for the exporter's own key and user."""


def poll(portal: Portal, known: Identity | None) -> Snapshot:
    """Request the keys once, and the exporter's own key and user if these are not `known` or are stale.

    Raises PollError. DocSpace server 3.7: `GET /keys` needs the scope `*:read`, `GET /keys/@self` none.
    """
    try:
        key = portal.read_key()
    except KeyUnreadableError as error:
        raise PollError(Reason.CREDENTIALS, str(error)) from None
    deadline = transport.Deadline(portal.poll_timeout)
    try:
        with transport.Session(portal, key, deadline) as session:
            body = _get(session, portal, KEYS_PATH, deadline)
            received = time.time()
            listed = decode.decode(body)
            del body
            identity = _identify(session, portal, deadline, _still_known(known, key, received))
    except transport.TlsFilesError as error:
        raise PollError(Reason.TLS, f"tls_config: {error}") from None
    except decode.InvalidResponseError as error:
        message = f"the response is not a list of API keys, {error}: check that url is a DocSpace portal"
        raise PollError(Reason.INVALID_RESPONSE, message) from None
    return Snapshot(listed.keys, listed.malformed, received, identity)


def _still_known(known: Identity | None, key: str, now: float) -> Identity:
    """Return what is known about this key, marked as stale when it is an hour old."""
    digest = hashlib.sha256(key.encode()).digest()
    if known is None or known.key_digest != digest:
        return Identity(digest)
    if not 0 <= now - known.asked < IDENTITY_LIFETIME:
        return msgspec.structs.replace(known, asked=0.0)
    return known


def _identify(
    session: transport.Session, portal: Portal, deadline: transport.Deadline, known: Identity
) -> Identity:
    """Return the exporter's own key and user. What the portal does not provide stays as known."""
    if known.asked:
        return known
    own_key = _ask(session, portal, OWN_KEY_PATH, deadline)
    own_user = _ask(session, portal, OWN_USER_PATH, deadline)
    sees_every_key = _sees_every_key(own_user or {})
    return Identity(
        key_digest=known.key_digest,
        asked=0.0 if own_key is None or own_user is None else time.time(),
        own_key_id=decode.read_id(own_key or {}) or known.own_key_id,
        sees_every_key=known.sees_every_key if sees_every_key is None else sees_every_key,
    )


def _sees_every_key(user: dict[str, Any]) -> bool | None:
    """DocSpace server 3.7: an admin or the owner sees every key of the portal, any other member their own."""
    roles = user.get("isAdmin"), user.get("isOwner")
    if any(role is True for role in roles):
        return True
    return False if all(role is False for role in roles) else None


def _ask(
    session: transport.Session, portal: Portal, path: str, deadline: transport.Deadline
) -> dict[str, Any] | None:
    """Return the object in the response, {} if the portal refuses it; None if asking again may help."""
    try:
        return decode.decode_object(_get(session, portal, path, deadline))
    except decode.InvalidResponseError:
        return {}
    except PollError as error:
        return {} if error.reason in {Reason.UNAUTHORIZED, Reason.FORBIDDEN, Reason.NOT_FOUND} else None


def _get(session: transport.Session, portal: Portal, path: str, deadline: transport.Deadline) -> bytearray:
    """Return the body of a response with status 200; raises PollError."""
    try:
        response, body = session.get(path)
    except transport.TooLargeError:
        limit = transport.RESPONSE_LIMIT // 2**20
        message = f"the response is larger than {limit} MiB: check that url is a DocSpace portal"
        raise PollError(Reason.TOO_LARGE, message) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        if deadline.passed():
            seconds = f"{portal.poll_timeout:g}s"
            message = f"no complete response within {seconds}: check the portal, or increase poll_timeout"
            raise PollError(Reason.TIMEOUT, message) from None
        raise error_from_exception(error) from None
    if response.status_code != requests.codes.ok:
        raise error_from_status(response, portal.url)
    return body
