"""Why a poll failed: a reason that is counted, and one line that says what to do."""

import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

import requests
import urllib3
from urllib3.util.retry import Retry

from docspace_exporter.docspace.model import KEYS_PAGE
from docspace_exporter.net import split_url
from docspace_exporter.text import one_line

LONGEST_RETRY_AFTER = 3600

_ORIGIN = re.compile(r"[A-Za-z0-9.\-]{1,100}(:\d{1,5})?")
"""A redirect may name any host; only one like this is repeated in a message."""

_TUNNEL_LOGIN = "Tunnel connection failed: 407"
"""How http.client words a proxy's 407 to CONNECT."""

_KEY_FRAGMENT = 8
"""Consecutive characters of a key that a message must not repeat."""


class Reason(StrEnum):
    """Why a poll failed."""

    UNAUTHORIZED = "unauthorized"
    PAYMENT_REQUIRED = "payment_required"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    REDIRECT = "redirect"
    UNEXPECTED_STATUS = "unexpected_status"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    TLS = "tls"
    TOO_LARGE = "too_large"
    INVALID_RESPONSE = "invalid_response"
    CREDENTIALS = "credentials"


class PollError(Exception):
    """A poll failed. The message is one line that says what happened and what to do; it holds no secret."""

    def __init__(self, reason: Reason, message: str, retry_after: float | None = None) -> None:
        self.message = one_line(message)  # a file name may be any text
        super().__init__(self.message)
        self.reason = reason
        self.retry_after = retry_after
        """Seconds to wait before the next poll, as the portal asked."""


_PROXY_LOGIN = "the proxy requires a valid user name and password: set them in its URL"
_STATUSES = {
    401: (
        Reason.UNAUTHORIZED,
        (
            "the portal rejected the API key: it is wrong, expired, disabled or deleted, "
            "or its owner was disabled or removed; create a new one at {page}"
        ),
    ),
    402: (Reason.PAYMENT_REQUIRED, "the portal's subscription has expired: renew it"),
    403: (
        Reason.FORBIDDEN,
        (
            "the key lacks the scope *:read, or the portal is being restored, moved or encrypted: "
            "check the key at {page}"
        ),
    ),
    404: (Reason.NOT_FOUND, "there is no such portal, or it is suspended: check url"),
    407: (Reason.UNEXPECTED_STATUS, _PROXY_LOGIN),
    429: (
        Reason.RATE_LIMITED,
        "the portal received too many requests: increase poll_interval if this persists",
    ),
    500: (
        Reason.SERVER_ERROR,
        "the portal failed, or does not know the host name in url: check url, then the portal's own logs",
    ),
}
"""What the portal itself means by a status (DocSpace server 3.7)."""

_FORBIDDEN_JSON = (
    "the exporter's address is not on the portal's list of allowed IP addresses, or the key is a guest's: "
    "check the portal's security settings, or create a key as an admin at {page}"
)
_STATUS_CLASSES = {
    3: (Reason.REDIRECT, "the portal redirects{destination}; the key is sent to the configured url only"),
    5: (Reason.SERVER_ERROR, "the portal is unavailable: check the portal's own logs if this persists"),
}
_OTHER_STATUS = (
    Reason.UNEXPECTED_STATUS,
    "DocSpace does not send this status: check that url is a DocSpace portal",
)
_IN_FRONT = {
    "login": (
        "asks for a user name and password: a server in front of the portal requires them, not the portal; "
        "let the exporter through there, or set url to the portal itself"
    ),
    "challenge": "comes from Cloudflare in front of the portal, not from the portal: let the exporter pass",
    "page": "comes from a server in front of the portal, not from the portal: check that server, and url",
}
"""What is said of a response that the portal did not send; the key is not its cause."""

_ERRORS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Reason, str], ...] = (
    (TimeoutError, Reason.TIMEOUT, "the portal did not respond in time: check the portal and the network"),
    (
        (ssl.SSLEOFError, ssl.SSLZeroReturnError),  # the latter from Python 3.11.2
        Reason.CONNECTION,
        "the portal closed the connection: check url and the network",
    ),
    (
        ssl.SSLCertVerificationError,
        Reason.TLS,
        "the portal's certificate was rejected, {cause.verify_message}: check tls_config.ca_file",
    ),
    (ssl.SSLError, Reason.TLS, "TLS failed, {cause.reason}: check url and tls_config"),
    (socket.gaierror, Reason.CONNECTION, "the host name cannot be resolved: check url and DNS"),
    (
        urllib3.exceptions.ProxyError,
        Reason.CONNECTION,
        "the proxy rejected the request: check proxy_url",
    ),
    (
        http.client.RemoteDisconnected,
        Reason.CONNECTION,
        "the portal closed the connection without a response",
    ),
    (urllib3.exceptions.InvalidChunkLength, Reason.INVALID_RESPONSE, "the response is not HTTP: check url"),
    (http.client.IncompleteRead, Reason.CONNECTION, "the portal closed the connection in mid-response"),
    (http.client.HTTPException, Reason.INVALID_RESPONSE, "the response is not HTTP: check url"),
    (urllib3.exceptions.DecodeError, Reason.INVALID_RESPONSE, "the response cannot be decompressed"),
    (OSError, Reason.CONNECTION, "{cause.strerror}: check url, the portal and the network"),
)


def error_from_status(response: requests.Response, portal_url: str) -> PollError:
    """Return the error that a status other than 200 stands for."""
    status = response.status_code
    reason, advice = _STATUSES.get(status) or _STATUS_CLASSES.get(status // 100, _OTHER_STATUS)
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if in_front := _sender_in_front(response, media_type):
        return PollError(reason, f"status {status} {_IN_FRONT[in_front]}", _retry_after(response))
    if reason is Reason.FORBIDDEN and media_type.endswith("json"):
        advice = _FORBIDDEN_JSON
    advice = advice.format(page=portal_url + KEYS_PAGE, destination=_destination(response, portal_url))
    return PollError(reason, f"status {status}, {advice}", _retry_after(response))


def _sender_in_front(response: requests.Response, media_type: str) -> str | None:
    """Return what kind of server in front of the portal sent a response; None for the portal itself.

    DocSpace server 3.7: the API sends JSON or no body, never HTML, and no WWW-Authenticate: Basic.
    """
    status = response.status_code
    if status // 100 == 3 or status == requests.codes.proxy_authentication_required:
        return None
    if response.headers.get("WWW-Authenticate", "").lower().startswith("basic"):
        return "login"
    if "cf-mitigated" in response.headers:
        return "challenge"
    return "page" if media_type == "text/html" else None


def _destination(response: requests.Response, portal_url: str) -> str:
    """Return where a redirect leads, if that is another, plain origin: the portal chooses this text."""
    parts = split_url(response.headers.get("Location", ""))
    key = response.request.headers.get("Authorization", "").rpartition(" ")[2].lower()
    if parts is None or not _ORIGIN.fullmatch(parts.netloc) or _share_text(key, parts.netloc.lower()):
        return ""
    origin = f"{parts.scheme}://{parts.netloc.lower()}"
    return "" if origin == portal_url else f" to {origin}: set url to that if it is yours"


def _share_text(key: str, other: str) -> bool:
    """Return whether a text contains more of a key than it would by chance."""
    starts = range(max(1, len(key) - _KEY_FRAGMENT + 1))
    return any(key[start : start + _KEY_FRAGMENT] in other for start in starts)


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds to wait that a 429 or 503 asks for, an hour at most."""
    if response.status_code not in {429, 503}:
        return None
    try:
        seconds = Retry().parse_retry_after(response.headers.get("Retry-After", ""))
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None
    return min(seconds, LONGEST_RETRY_AFTER)


def error_from_exception(error: Exception) -> PollError:
    """Return what an exception of requests, urllib3 or the system means.

    Its own text is left out: it can quote a header, or a URL with a password.
    """
    if is_resolution_failure(error, socket.EAI_AGAIN):
        return PollError(Reason.CONNECTION, "the name server does not respond: check DNS")
    if any(_TUNNEL_LOGIN in str(cause) for cause in _causes(error)):
        return PollError(Reason.CONNECTION, _PROXY_LOGIN)
    for cause in _causes(error):
        for kind, reason, message in _ERRORS:
            if isinstance(cause, kind) and not isinstance(cause, requests.RequestException):
                return PollError(reason, message.format(cause=cause))
    return PollError(Reason.CONNECTION, "the connection failed: check url and the network")


def is_resolution_failure(error: Exception, *numbers: int) -> bool:
    """Return whether a host name could not be resolved, with one of these EAI_ numbers if any are given."""
    return any(
        isinstance(cause, socket.gaierror) and (not numbers or cause.errno in numbers)
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, outermost first; requests and urllib3 also keep them in `args`."""
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        cause = pending.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            pending += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
