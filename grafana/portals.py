"""The panels on portals: whether what is shown of their keys can be trusted."""

from grafana import expressions as e
from grafana.parts import (
    COLOURED_TEXT,
    Column,
    Frame,
    graph,
    link,
    over_time,
    table,
    texts,
    thresholds,
    timeline,
)

TABLE = 19
"""The number of the table, for links."""

NEVER = 1e12
"""The age of data that there is none of."""

_UNKNOWN = (-1, "unknown", "text")


def _or_unknown(expr: str) -> str:
    """Return the expression, and -1 for every other portal."""
    return e.first_of(expr, f"0 * {e.by_portal('poll_interval_seconds')} - 1")


_STATES = ((0, "stale", "red"), (1, "last poll failed", "orange"), (2, "up", "green"))
_STATE_OVER_TIME = (
    f"(1 + {e.first_of(e.by_portal('up', 'min'), '0 * ' + e.by_portal('poll_interval_seconds'))})\n"
    f"* (time() - {e.SUCCESS} <= bool {e.OVERDUE})"
)


def _of_20(expr: str, order: str) -> str:
    """Return an expression for 20 portals at most."""
    return f"{expr}\nand on (portal) {order}"


_SUM, _COUNT = (e.series(f"poll_duration_seconds_{part}") for part in ("sum", "count"))
_DURATION = f"""max by (portal) (
  rate({_SUM}[$__rate_interval])
  / (rate({_COUNT}[$__rate_interval]) > 0)
)"""
_SLOWEST = f"topk(20, max by (portal) ({_SUM} @ end() / ({_COUNT} @ end() > 0)))"
_FAILURES = f"""sum by (reason) (
  max by (portal, reason) (increase({e.series("poll_failures_total")}[$__rate_interval]))
)"""

PANELS = [
    table(
        Frame(
            TABLE,
            "Portals, oldest data first",
            "Whether what is shown of the keys is complete and current. It is stale if no poll has "
            "succeeded for 15 minutes or 3 poll intervals, whichever is longer; the exporter's log says "
            "why. With several replicas, the last poll succeeded if it did for each of them. “Own only” "
            "means that the exporter's user is not an admin and sees only its own keys. Malformed records "
            "are read as far as possible.",
            24,
            6,
        ),
        "portal",
        e.URL,
        [
            Column("Portal", 130, label="portal"),
            Column(
                "Data",
                75,
                expr=f"time() - {e.SUCCESS} > bool {e.OVERDUE}",
                properties={
                    "mappings": texts((0, "fresh", "green"), (1, "stale", "red")),
                    "custom_cellOptions": {"type": "color-background", "mode": "basic"},
                },
            ),
            Column(
                "Data age",
                100,
                expr=e.first_of(
                    f"time() - ({e.SUCCESS} > 0)", f"0 * {e.by_portal('poll_interval_seconds')} + {NEVER:.0f}"
                ),
                properties={
                    "unit": "s",
                    "decimals": 1,
                    "mappings": texts((f"{NEVER:.0f}", "never polled", "text")),
                },
            ),
            Column(
                "Last poll",
                92,
                expr=_or_unknown(e.by_portal("up", "min")),
                properties={
                    "mappings": texts(
                        (-1, "not yet", "text"), (0, "failed", "red"), (1, "succeeded", "green")
                    ),
                    "custom_cellOptions": COLOURED_TEXT,
                },
            ),
            Column(
                "Keys",
                78,
                expr=_or_unknown(e.by_portal("api_keys")),
                properties={"mappings": texts(_UNKNOWN)},
            ),
            Column(
                "Active",
                78,
                expr=_or_unknown(e.by_portal("api_keys_active")),
                properties={"mappings": texts(_UNKNOWN)},
            ),
            Column(
                "Keys seen",
                86,
                expr=_or_unknown(e.by_portal("api_keys_complete", "min")),
                properties={
                    "mappings": texts(_UNKNOWN, (0, "own only", "orange"), (1, "all", "green")),
                    "custom_cellOptions": COLOURED_TEXT,
                },
            ),
            Column(
                "Malformed",
                90,
                expr=_or_unknown(e.by_portal("api_keys_malformed")),
                properties={
                    "mappings": texts(_UNKNOWN),
                    "thresholds": thresholds("text", (1, "orange")),
                    "custom_cellOptions": COLOURED_TEXT,
                },
            ),
            Column(
                "Address",
                190,
                label="url",
                grows=True,
                properties={
                    "links": [
                        link("API keys in DocSpace", "${__value.raw}/developer-tools/api-keys", new_tab=True)
                    ],
                    "custom_filterable": False,
                },
            ),
        ],
        {"field": "Value #data-age", "desc": True},
    ),
    timeline(
        Frame(
            20,
            "Portals over time",
            "Whether the data of each portal is current and the last poll succeeded, for every replica of "
            "the exporter. At most 20 portals, the worst first.",
            24,
            6,
        ),
        over_time(_of_20(_STATE_OVER_TIME, f"bottomk(20, {e.at_end(_STATE_OVER_TIME)})"), "{{portal}}"),
        texts(*_STATES),
        "${__field.labels.portal}",
    ),
    graph(
        Frame(
            22,
            "Poll duration",
            "Average duration of polls, successful or failed: at most 20 portals, the slowest ones.",
            12,
            7,
            interval="15m",
        ),
        [over_time(_of_20(_DURATION, _SLOWEST), "{{portal}}")],
        custom={"spanNulls": True},
        unit="s",
    ),
    graph(
        Frame(
            23,
            "Failed polls by reason",
            "Failed polls by reason; docs/metrics.md describes the reasons. Replicas that poll the same "
            "portal count once.",
            12,
            7,
            interval="5m",
        ),
        [over_time(_FAILURES, "{{reason}}")],
        custom={
            "drawStyle": "bars",
            "fillOpacity": 80,
            "lineWidth": 0,
            "stacking": {"group": "A", "mode": "normal"},
        },
        unit="none",
        decimals=0,
    ),
]
