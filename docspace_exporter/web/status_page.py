"""The status page at `/`: portals with their state, and their keys."""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import time

import jinja2
import msgspec

from docspace_exporter import policy
from docspace_exporter.config.exceptions import KeyException
from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace.model import KEYS_PAGE, ApiKey
from docspace_exporter.metrics import ExporterState
from docspace_exporter.poller import PortalState

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

ROW_LIMIT = 500
"""Most keys shown per portal; the filter searches all of them."""

_FOLDER = Path(__file__).parent
STATIC_FILES = {
    "/-/static/status.css": ((_FOLDER / "static" / "status.css").read_bytes(), "text/css"),
    "/-/static/status.js": ((_FOLDER / "static" / "status.js").read_bytes(), "text/javascript"),
}
"""Content and media type of the page's files, by path."""

_DAY = 86_400
_UNITS = (
    ("year", 365 * _DAY, 730 * _DAY),
    ("month", 30 * _DAY, 120 * _DAY),
    ("day", _DAY, _DAY),
    ("hour", 3600, 3600),
    ("minute", 60, 60),
)
"""Units, their seconds, and the seconds from which each is used: key rotation is planned in days."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)


class KeyRow(msgspec.Struct, frozen=True):
    """One key, formatted."""

    key: ApiKey
    owner: str
    own: bool
    owner_active: bool | None
    exceptions: Sequence[KeyException]
    """Those in force."""
    state: str
    """`expired`, `critical`, `warning`, `off` or `good`: how urgent it is."""
    created: str
    last_used: str
    expires: str
    expiry_date: str
    search: str
    """Text that the filter searches, in lower case."""


class PortalSection(msgspec.Struct, frozen=True):
    """One portal, formatted."""

    state: PortalState
    polled: str
    rows: Sequence[KeyRow]
    left_out: int
    ineffective: Sequence[tuple[KeyException, str]]
    """Exceptions without effect, and why they have none."""
    rotate_url: str


def render(states: Sequence[PortalState], wanted: str, telemetry_path: str, exporter: ExporterState) -> str:
    """Return the page with the keys whose name, postfix, owner or access contains `wanted`.

    Its links are relative, so that a reverse proxy can serve it at any path that ends with a slash.
    """
    now = time()
    sections = [_section(state, wanted.strip(), now) for state in states]
    return _TEMPLATES.get_template("status.html").render(
        portals=sections,
        wanted=wanted.strip(),
        partial=bool(wanted.strip()) or any(section.left_out for section in sections),
        telemetry_path=_relative(telemetry_path),
        exporter=exporter,
        now=_date(now),
    )


def render_link(telemetry_path: str) -> str:
    """Return a page with only a link to the metrics."""
    return _TEMPLATES.get_template("link.html").render(telemetry_path=_relative(telemetry_path))


def _relative(path: str) -> str:
    return f"./{path.lstrip('/')}"


def _section(state: PortalState, wanted: str, now: float) -> PortalSection:
    rows = sorted(_rows(state, wanted, now), key=lambda row: _rank(row.key, now))
    return PortalSection(
        state=state,
        polled=in_words(state.last_success, now) if state.snapshot else "never",
        rows=rows[:ROW_LIMIT],
        left_out=max(0, len(rows) - ROW_LIMIT),
        ineffective=_ineffective(state, now),
        rotate_url=state.portal.url + KEYS_PAGE,
    )


def _ineffective(state: PortalState, now: float) -> Sequence[tuple[KeyException, str]]:
    if state.snapshot is None:
        return ()
    found = policy.ineffective_exceptions(state.portal, state.snapshot, now)
    return [(state.portal.exceptions[index], reason) for index, reason in found]


def _rank(key: ApiKey, now: float) -> tuple[int, float]:
    """Return the sort key: first the soonest to expire, then the most recently expired, then the rest."""
    if key.expiry is None or math.isinf(key.expiry):
        return 2, 0.0
    return (0, key.expiry) if key.expiry > now else (1, -key.expiry)


def _rows(state: PortalState, wanted: str, now: float) -> Iterator[KeyRow]:
    if state.snapshot is None:
        return
    for key in state.snapshot.keys:
        owner = key.owner if state.portal.export_owner else ""
        search = f"{key.name}\n{key.postfix}\n{owner}\n{key.access}".lower()
        if wanted.lower() not in search:
            continue
        exceptions = policy.exceptions_for(key, state.portal, state.snapshot)
        in_force = [exception for exception in exceptions if now < exception.end]
        yield KeyRow(
            key=key,
            owner=owner,
            own=key.id == state.snapshot.identity.own_key_id,
            owner_active=state.snapshot.owner_active(key),
            exceptions=in_force,
            state=_urgency(key, state.portal, in_force, now),
            created="" if key.created is None else in_words(key.created, now),
            last_used="never used" if key.last_used is None else in_words(key.last_used, now),
            expires=_expiry_in_words(key, now),
            expiry_date=_date(key.expiry) if key.expiry is not None else "",
            search=search,
        )


def _urgency(key: ApiKey, portal: Portal, exceptions: Sequence[KeyException], now: float) -> str:
    left = math.inf if key.expiry is None else key.expiry - now
    if left <= 0:
        return "expired"
    if key.active is False:
        return "off"
    if any("expiry" in exception.allow for exception in exceptions):
        return "good"
    limits = policy.thresholds(key, portal)
    return next((severity for severity in ("critical", "warning") if left < limits.get(severity, 0)), "good")


def _expiry_in_words(key: ApiKey, now: float) -> str:
    if key.expiry is None:
        return "unreadable"
    return "never expires" if math.isinf(key.expiry) else in_words(key.expiry, now)


def in_words(moment: float, now: float) -> str:
    """Return the rounded distance of a time from now: `in 2 days`, `3 hours ago`."""
    distance = abs(moment - now)
    for unit, seconds, least in _UNITS:
        if distance >= least:
            count = round(distance / seconds)
            words = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"in {words}" if moment > now else f"{words} ago"
    return "just now" if moment <= now else "in under a minute"


def _date(moment: float) -> str:
    if math.isinf(moment):
        return ""
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return ""
