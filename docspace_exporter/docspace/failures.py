"""Why a poll failed, in a word that is counted and in a line that says what to do."""

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
"""A redirect may name any host; only such a one is repeated in a message."""


_KEY_FRAGMENT = 8
"""Characters of a key in a row that are not repeated."""


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
        self.message = one_line(message)  # a file's name may be any text
        super().__init__(self.message)
        self.reason = reason
        self.retry_after = retry_after
        """Seconds that the portal wants to be left alone."""


_STATUSES = {
    401: (
        Reason.UNAUTHORIZED,
        "the portal refused the key: it is wrong, disabled or expired; make one at {page}",
    ),
    402: (Reason.PAYMENT_REQUIRED, "the portal is not paid for: renew its subscription"),
    403: (
        Reason.FORBIDDEN,
        "the key may not list keys: give it the scope *:read at {page}; a guest's key never may",
    ),
    404: (Reason.NOT_FOUND, "there is no such portal, or it is suspended: check url"),
    429: (
        Reason.RATE_LIMITED,
        "the portal takes no more requests for now: raise poll_interval if this lasts",
    ),
}
_STATUS_CLASSES = {
    3: (Reason.REDIRECT, "the portal redirects{destination}; the key goes to the configured url only"),
    5: (Reason.SERVER_ERROR, "the portal, or a proxy before it, has a fault: see its own logs if this lasts"),
}
_OTHER_STATUS = (Reason.UNEXPECTED_STATUS, "DocSpace does not answer so: check that url is a DocSpace portal")

_ERRORS: tuple[tuple[type[BaseException], Reason, str], ...] = (
    (TimeoutError, Reason.TIMEOUT, "the portal did not answer in time: check the portal and the network"),
    (ssl.SSLEOFError, Reason.CONNECTION, "the portal ended the connection: check url and what is between"),
    (
        ssl.SSLCertVerificationError,
        Reason.TLS,
        "the portal's certificate is refused, {cause.verify_message}: see tls_config.ca_file",
    ),
    (ssl.SSLError, Reason.TLS, "TLS failed, {cause.reason}: check url and tls_config"),
    (socket.gaierror, Reason.CONNECTION, "the host name cannot be resolved: check url and DNS"),
    (urllib3.exceptions.ProxyError, Reason.CONNECTION, "the proxy refused or failed: check proxy_url"),
    (http.client.RemoteDisconnected, Reason.CONNECTION, "the portal ended the connection without an answer"),
    (urllib3.exceptions.InvalidChunkLength, Reason.INVALID_RESPONSE, "the answer is not HTTP: check url"),
    (http.client.IncompleteRead, Reason.CONNECTION, "the portal ended its answer half-way"),
    (http.client.HTTPException, Reason.INVALID_RESPONSE, "the answer is not HTTP: check url"),
    (urllib3.exceptions.DecodeError, Reason.INVALID_RESPONSE, "the answer's compression is broken"),
    (OSError, Reason.CONNECTION, "{cause.strerror}: check url, the portal and the network"),
)


def refusal(response: requests.Response, portal_url: str) -> PollError:
    """Return the failure that a status other than 200 stands for."""
    status = response.status_code
    reason, advice = _STATUSES.get(status) or _STATUS_CLASSES.get(status // 100, _OTHER_STATUS)
    advice = advice.format(page=portal_url + KEYS_PAGE, destination=_destination(response, portal_url))
    return PollError(reason, f"status {status}, {advice}", _retry_after(response))


def _destination(response: requests.Response, portal_url: str) -> str:
    """Return where a redirect leads, when that is another, plain origin: the portal chooses this text."""
    parts = split_url(response.headers.get("Location", ""))
    key = response.request.headers.get("Authorization", "").rpartition(" ")[2].lower()
    if parts is None or not _ORIGIN.fullmatch(parts.netloc) or _share_text(key, parts.netloc.lower()):
        return ""
    origin = f"{parts.scheme}://{parts.netloc.lower()}"
    return "" if origin == portal_url else f" to {origin}: set url to that if it is yours"


def _share_text(key: str, other: str) -> bool:
    """Tell whether a text has more of a key in it than chance brings."""
    return any(
        key[begin : begin + _KEY_FRAGMENT] in other for begin in range(max(1, len(key) - _KEY_FRAGMENT + 1))
    )


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds to wait that a 429 or 503 asks for, an hour at most."""
    if response.status_code not in {429, 503}:
        return None
    try:
        seconds = Retry().parse_retry_after(response.headers.get("Retry-After", ""))
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None
    return min(seconds, LONGEST_RETRY_AFTER)


def explain(error: Exception) -> PollError:
    """Return what a library's error means.

    Its own text is left out: it can quote a header, or a url with a password.
    """
    for cause in _causes(error):
        for kind, reason, message in _ERRORS:
            if isinstance(cause, kind) and not isinstance(cause, requests.RequestException):
                return PollError(reason, message.format(cause=cause))
    return PollError(Reason.CONNECTION, "the connection failed: check url and the network")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from, outermost first; requests and urllib3 keep that in `args` too."""
    pending: list[object] = [error]
    seen: set[int] = set()
    while pending:
        cause = pending.pop(0)
        if isinstance(cause, BaseException) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            pending += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
