"""The panels that count: what is about to break, and what should be tidied up."""

from urllib.parse import quote

from grafana import expressions as e
from grafana import portals
from grafana.parts import Frame, Json, here, texts, thresholds, tile

NEVER = 1e12
"""Seconds left if no key expires."""


def _keys_shown(show: str) -> Json:
    return here(f"Show these keys: {e.SHOWN[show][0]}", f"var-show={quote(e.selection(show), safe='')}")


def _count(expr: str, known: str = f"sum({e.series('api_keys')})") -> str:
    """Return how many series an expression has: 0 as long as what is counted is known, else nothing."""
    return f"count(group by (portal, id) {e.block(expr)})\nor 0 * {known}"


def _count_of(frame: Frame, show: str, colour: str, known: str = f"sum({e.series('api_keys')})") -> Json:
    return tile(
        frame,
        _count(e.SHOWN[show][1], known),
        [_keys_shown(show)],
        thresholds=thresholds("text", (0, "green"), (1, colour)),
    )


TILES = [
    tile(
        Frame(
            2,
            "Portals down",
            "Portals without a successful poll for 15 minutes or 3 poll intervals, whichever is longer, and "
            "those that were exported within the last 6 hours and are no longer. What is shown of their "
            "keys is old.",
            5,
            3,
        ),
        _count(e.PORTALS_DOWN, f"sum({e.series('poll_interval_seconds')})"),
        [
            here("Show the portals", f"viewPanel={portals.TABLE}"),
        ],
        thresholds=thresholds("text", (0, "green"), (1, "red")),
    ),
    tile(
        Frame(3, "Soonest expiry", "Time until the first of the active API keys expires.", 5, 3),
        f"min({e.without(f'{e.LEFT} > 0', e.INACTIVE)})\nor 0 * sum({e.series('api_keys')}) + {NEVER:.0f}",
        [_keys_shown("all")],
        unit="s",
        decimals=1,
        mappings=texts((f"{NEVER:.0f}", "never", "text")),
        thresholds=thresholds("text"),
    ),
    _count_of(
        Frame(
            5,
            "Critical",
            "Active API keys with less time left than their critical threshold. Whatever uses them will "
            "stop working: create new keys and deploy them now. Keys that have been replaced, have an "
            "exception, or are the exporter's own do not count.",
            4,
            3,
        ),
        "critical",
        "red",
    ),
    _count_of(
        Frame(
            6,
            "Warning",
            "Active API keys with less time left than their warning threshold, including those below their "
            "critical one.",
            4,
            3,
        ),
        "warning",
        "orange",
    ),
    _count_of(
        Frame(
            4,
            "Expired in use",
            "API keys that expired within the last 7 days, had been used within the 90 days before that, "
            "and have not been replaced. Whatever relied on them has probably stopped working.",
            6,
            3,
        ),
        "expired-in-use",
        "red",
    ),
    _count_of(
        Frame(
            24,
            "Owner disabled",
            "Active API keys used within the last 7 days whose owner has been disabled or removed: the "
            "portal rejects them. No data if the exporter's user cannot list users.",
            5,
            3,
        ),
        "owner-disabled",
        "orange",
        f"count({e.series('api_key_owner_active')})",
    ),
    tile(
        Frame(
            25,
            "Exporter's key",
            "The API keys that the exporter itself uses: how many have less time left than their warning "
            "threshold. After their expiry the portals are not monitored.",
            5,
            3,
        ),
        _count(e.OWN_EXPIRING, f"count({e.series('api_key_info', e.equal('self', 'true'))})"),
        [_keys_shown("own")],
        mappings=texts((0, "ok", "green")),
        thresholds=thresholds("text", (0, "green"), (1, "red")),
    ),
    _count_of(
        Frame(
            8,
            "Unused",
            "Active API keys that have not been used for 90 days, or were created at least 30 days ago and "
            "never used. Each is a risk without a benefit.",
            4,
            3,
        ),
        "unused",
        "yellow",
    ),
    _count_of(
        Frame(
            9,
            "Full access",
            "Active API keys that can do everything their owners can. Replace them with keys that have only "
            "the permissions they need.",
            5,
            3,
        ),
        "full-access",
        "yellow",
    ),
    _count_of(
        Frame(
            7,
            "Never expire",
            "Active API keys without an expiry. A leaked one works until somebody notices.",
            5,
            3,
        ),
        "never-expires",
        "yellow",
    ),
]
