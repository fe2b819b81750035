"""The panels on single keys: the table, and graphs."""

from grafana import expressions as e
from grafana.parts import (
    COLOURED_TEXT,
    DOCS,
    Column,
    Frame,
    Json,
    fixed,
    graph,
    link,
    over_time,
    override,
    ranges,
    table,
    texts,
    timeline,
)

UNREADABLE = 1e14
"""Stands for an expiry that cannot be read: a time that no key has, in seconds or milliseconds."""

ROTATE = {
    "links": [link("Rotate in DocSpace", "${__value.raw}/developer-tools/api-keys", new_tab=True)],
    "mappings": [{"type": "regex", "options": {"pattern": ".*", "result": {"index": 0, "text": "Rotate"}}}],
}
_STATE_TEXTS = [(n, n + 0.9999, text, colour) for n, (text, colour) in enumerate(e.STATES)]


TABLE = table(
    Frame(
        11,
        "API keys: ${show:text}",
        "The worst first: what has stopped working, then what soon will, then the others by their expiry. "
        "To rotate a key, create a new one in DocSpace, deploy it, and delete the old one. “Replaced” means "
        "that another active key of the same owner and name expires later or never, and that this one has "
        "not been used for a day. A state in grey or blue asks for nothing.",
        24,
        13,
    ),
    "key",
    e.keyed(e.INFO, "portal", "name", "postfix", "owner", "access", "url"),
    [
        Column("Name", 140, label="name", grows=True),
        Column(
            "Time left",
            99,
            expr=e.keyed(e.first_of(e.LEFT, f"0 * {e.MALFORMED} + {UNREADABLE:.0f}")),
            properties={
                "unit": "s",
                "decimals": 1,
                "noValue": "never",
                "mappings": texts((f"{UNREADABLE:.0f}", "unknown", "orange")),
            },
        ),
        Column(
            "State",
            118,
            expr=e.keyed(e.STATE),
            properties={
                "mappings": ranges(*_STATE_TEXTS),
                "custom_cellOptions": COLOURED_TEXT,
                "custom_filterable": True,
                "links": [link("What to do", f"{DOCS}/alerts.md", new_tab=True)],
            },
        ),
        Column(
            "Expires",
            140,
            expr=e.keyed(e.first_of(f"1000 * {e.EXPIRY}", f"0 * {e.MALFORMED} + {UNREADABLE:.0f}")),
            properties={
                "unit": "time:YYYY-MM-DD HH:mm",
                "noValue": "never",
                "mappings": texts((f"{UNREADABLE:.0f}", "unknown", "orange")),
            },
        ),
        Column(
            "Last used",
            141,
            expr=e.keyed(f"1000 * {e.USED}"),
            properties={"unit": "dateTimeFromNow", "noValue": "never"},
        ),
        Column("Owner", 110, label="owner"),
        Column("Portal", 104, label="portal"),
        Column("Rotate", 75, label="url", properties={**ROTATE, "custom_filterable": False}),
        Column(
            "Access",
            85,
            label="access",
            properties={
                "mappings": texts(("full", "full", "yellow")),
                "custom_cellOptions": COLOURED_TEXT,
            },
        ),
        Column(
            "Created",
            140,
            expr=e.keyed(f"1000 * {e.CREATED}"),
            properties={"unit": "time:YYYY-MM-DD HH:mm", "noValue": "unknown"},
        ),
        Column("Postfix", 65, label="postfix", properties={"custom_filterable": False}),
    ],
    {"field": "Value #state", "desc": False},
)


_COUNTED = (
    ("api_keys", "Keys", "blue"),
    ("api_keys_active", "Active", "green"),
    ("api_keys_expired", "Expired", "red"),
)
_KEY_NAME = "{{name}} …{{postfix}} ({{portal}})"
_SEEN = f"max by (portal, id, name, postfix) ({e.of_keys('last_seen_timestamp_seconds')}"
_OWNED = e.of_keys("info", e.OWNER)


_UNEXPIRED = f" > ${{__from}} / 1000\nand on (portal, id) ({_OWNED} @ end() or {_OWNED} @ start())"
_OF_OWNERS = f"\nand on (portal, id) {_OWNED} @ end()"


def _named(expr: str, names: str, labels: str = "name, postfix") -> str:
    """Return an expression for the keys that have names, with these labels."""
    return f"{e.block(expr)}\n* on (portal, id) group_left ({labels}) {e.block(f'0 * {names} + 1')}"


_SOON = f"bottomk(20, {e.block(e.at_end(e.NEAR) + _OF_OWNERS)})"
# No two of them hold: with `or on`, VictoriaMetrics gives the series of one the values of the next.
_URGENCIES = (
    ("critical", e.BELOW_CRITICAL),
    ("warning", f"{e.BELOW_WARNING} >= {e.threshold('critical')}"),
    ("soon", f"{e.LEFT} >= {e.threshold('warning')}"),
)
_URGENCY = e.block(
    "\nor\n".join(
        f'label_replace({e.at_end(condition)}, "urgency", "{urgency}", "", "")'
        for urgency, condition in _URGENCIES
    )
)
_DAYS_LEFT = _named(
    f"{e.of_chosen('time_to_expiry_seconds', _SOON)} / 86400",
    f"topk by (portal, id) (1, {_SEEN} @ end()))\n* on (portal, id) group_left (urgency) {_URGENCY}",
    "name, postfix, urgency",
)

_FIRST = f"bottomk(20, {e.block(e.at_either_end(e.EXPIRY) + _UNEXPIRED)})"
"""The 20 keys that expire first of those that had not expired at the beginning of the time range."""
_NEWEST = f"topk by (portal, id) (1, {_SEEN} @ end()) or on (portal, id) {_SEEN} @ start()))"
_STATES = _named(e.state_over_time(_FIRST), _NEWEST)


def _threshold_area(severity: str, colour: str) -> tuple[Json, Json]:
    """Return the query for an area below the highest threshold of any key, and how it is drawn."""
    limit = f"max({e.series('api_key_expiry_threshold_seconds', e.equal('severity', severity))}) / 86400"
    drawn = override(
        "byFrameRefID",
        f"{severity}-area",
        color=fixed(colour),
        custom_fillOpacity=12,
        custom_lineWidth=1,
        custom_lineStyle={"fill": "dash", "dash": [10, 10]},
        custom_hideFrom={"legend": True, "tooltip": False, "viz": False},
    )
    return over_time(limit, f"{severity} threshold", f"{severity}-area"), drawn


_AREAS = [_threshold_area("warning", "orange"), _threshold_area("critical", "red")]
_COLOURS = {"critical": "red", "warning": "orange", "soon": "blue"}

GRAPHS = [
    graph(
        Frame(
            16,
            "Days to expiry",
            "The 20 active API keys that expire first, if they are below their critical or warning "
            "threshold, or have less than twice their warning threshold left (“soon”), as of the end of the "
            "time range. The areas are the highest thresholds of any key.",
            24,
            9,
            points=200,
        ),
        [*(target for target, _ in _AREAS), over_time(_DAYS_LEFT, "{{urgency}}: " + _KEY_NAME, "keys")],
        [
            *(drawn for _, drawn in _AREAS),
            *(
                override("byRegexp", f"/^{urgency}:/", color={"mode": "shades", "fixedColor": colour})
                for urgency, colour in _COLOURS.items()
            ),
        ],
        legend="table",
        unit="suffix:d",
        decimals=1,
    ),
    timeline(
        Frame(
            26,
            "State of the keys that expire first",
            "The 20 API keys that expire first after the beginning of the time range. A rotation is a new "
            "line that begins while another one of the same name becomes “replaced”, and then ends or turns "
            "off.",
            24,
            11,
            points=120,
        ),
        over_time(_STATES, _KEY_NAME),
        ranges(*e.STATES_OVER_TIME),
        "${__field.labels.name} …${__field.labels.postfix} (${__field.labels.portal})",
    ),
    graph(
        Frame(15, "Keys over time", "All API keys, active ones, and expired ones.", 24, 6),
        [over_time(f"sum({e.by_portal(name)})", legend, legend) for name, legend, _ in _COUNTED],
        [override("byName", legend, color=fixed(colour)) for _, legend, colour in _COUNTED],
        legend="table",
        unit="none",
        decimals=0,
    ),
]
