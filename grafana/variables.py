"""What is chosen at the top of the dashboard, and the marks in its graphs."""

from grafana import expressions as e
from grafana.parts import DATASOURCE, Json


def _variable(name: str, label: str, description: str, values: str) -> Json:
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": values,
        "query": {"query": values, "refId": name},
        "refresh": 2,
        "sort": 5,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _choice(name: str, label: str, description: str) -> Json:
    options = [
        {"text": e.SHOWN[show][0], "value": e.selection(show), "selected": show == "all"} for show in e.SHOWN
    ]
    listed = (f"{option['text']} : {option['value']}".replace(",", "\\,") for option in options)
    return {
        "name": name,
        "label": label,
        "description": description,
        "type": "custom",
        "query": ",".join(listed),
        "options": options,
        "current": options[0],
        "multi": False,
        "includeAll": False,
    }


def _annotation(name: str, colour: str, expr: str, step: str = "5m") -> Json:
    """Return marks at times that are the values of series, in milliseconds."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": colour,
        "expr": expr,
        "step": step,
        "useValueForTime": True,
        "titleFormat": f"API key {name.lower()}",
        "textFormat": "",
        "tagKeys": "name,postfix,portal",
    }


_OWNED = e.series("api_key_info", e.OWNER)
_LAST_SEEN = e.of_keys("last_seen_timestamp_seconds")


def _marks(times: str) -> str:
    return f"1000 * max by (portal, id, name, postfix) {e.block(times)}"


_NAMED = f"max by (portal, id, owner, name) ({e.series('api_key_info')}"
_SAME_NAME = e.block(
    f"{_OWNED} @ end()\n"
    "and on (portal, owner, name)\n"
    f"count by (portal, owner, name) ({_NAMED} @ start()) or {_NAMED} @ end())) > 1"
)
"""Keys of which there is, or was at the beginning of the time range, another of the same name and owner."""
_SINCE = "> ${__from} / 1000"
_CREATED = f"{e.of_keys('created_timestamp_seconds')} @ end() {_SINCE}"

ANNOTATIONS = [
    {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    },
    _annotation(
        "Created",
        "green",
        _marks(f"{_CREATED}\nand on (portal, id) {_OWNED} @ end()\nunless on (portal, id) {_SAME_NAME}"),
    ),
    _annotation("Rotated", "blue", _marks(f"{_CREATED}\nand on (portal, id) {_SAME_NAME}")),
    # A key that was exported since the last point and is no longer, although its portal has been polled.
    _annotation(
        "Deleted",
        "purple",
        _marks(
            f"last_over_time({_LAST_SEEN}[$__interval])\n"
            f"unless on (portal, id) {_LAST_SEEN}\n"
            f"and on (portal) {e.series('poll_last_success_timestamp_seconds')} > 0\n"
            f"and on (portal, id) last_over_time({_OWNED}[$__interval])"
        ),
        step="1m",
    ),
    _annotation(
        "Expired",
        "red",
        _marks(
            f"{e.of_keys('expiry_timestamp_seconds')} @ end() {_SINCE} < ${{__to}} / 1000\n"
            f"and on (portal, id) {_OWNED} @ end()"
        ),
    ),
]

VARIABLES = [
    {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "current": {},
    },
    _variable("portal", "Portal", "Filters every panel.", "label_values(docspace_portal_info, portal)"),
    _variable(
        "owner",
        "Owner",
        "Filters the panels that show individual keys, not the counts.",
        f"label_values({e.series('api_key_info')}, owner)",
    ),
    _choice("show", "Show", "Filters the table of keys. A tile selects the keys that it counts."),
]
