"""The PromQL of the dashboard: what is known of a key, and its state.

A key is identified by `portal` and `id`, whatever other labels a series has: conditions are combined on
these, and what is calculated with is aggregated to them first. The conditions are those of the alerts in
`prometheus/rules.yml`, on what is exported now: the dashboard does not need the rules. What a query costs is
the number of selectors in it that match every key.
"""

import re
import textwrap

PORTAL = "portal=~`${portal:regex}`"
OWNER = "owner=~`${owner:regex}`"


def equal(label: str, value: str) -> str:
    """Return a matcher of a label."""
    return f'{label}="{value}"'


def series(name: str, *matchers: str) -> str:
    """Return the selector of a series of the selected portals."""
    return f"docspace_{name}{{{', '.join((PORTAL, *matchers))}}}"


def of_keys(name: str, *matchers: str) -> str:
    """Return the selector of a series of keys."""
    return series(f"api_key_{name}", *matchers)


def by_key(name: str, *matchers: str) -> str:
    """Return a series of keys, one a key whatever exports it."""
    return f"max by (portal, id) ({of_keys(name, *matchers)})"


def by_portal(name: str, aggregation: str = "max") -> str:
    """Return a series of portals, one a portal whatever exports it."""
    return f"{aggregation} by (portal) ({series(name)})"


def block(expr: str) -> str:
    """Return an expression in parentheses, indented."""
    return f"(\n{textwrap.indent(expr, '  ')}\n)"


def first_of(*exprs: str) -> str:
    """Return for each key what the first expression that has it says."""
    return block("\nor on (portal, id)\n".join(exprs))


def both(expr: str, *others: str) -> str:
    """Return what the expression has that all the others have as well."""
    return block("\n".join((expr, *(f"and on (portal, id) {other}" for other in others))))


def without(expr: str, *others: str) -> str:
    """Return what the expression has and none of the others has."""
    return block("\n".join((expr, *(f"unless on (portal, id) {other}" for other in others))))


def at_end(expr: str) -> str:
    """Return an expression as of the end of the time range, at every point of a graph."""
    selector = r"docspace_\w+\{(?:`[^`]*`|[^`}])*\}"
    return re.sub(selector, r"\g<0> @ end()", expr).replace("time()", "${__to} / 1000")


EXPIRY = by_key("expiry_timestamp_seconds")
CREATED = by_key("created_timestamp_seconds")
USED = by_key("last_used_timestamp_seconds")
SEEN = by_key("last_seen_timestamp_seconds")
LEFT = f"{EXPIRY} - time()"

MALFORMED = of_keys("malformed")
OWN = of_keys("info", equal("self", "true"))
ACTIVE = f"{of_keys('active')} == 1"
INACTIVE = f"{by_key('active')} == 0"
OWNER_DISABLED = f"{by_key('owner_active')} == 0"
REPLACED = f"{of_keys('replaced')} == 1"
EXPIRED = f"{LEFT} <= 0"


def used_within(days: int) -> str:
    """Return the keys that were used within the last days."""
    return f"{of_keys('last_used_timestamp_seconds')} >= time() - {days} * 86400"


def threshold(severity: str) -> str:
    """Return how long before their expiry the alerts of keys begin, in seconds."""
    return by_key("expiry_threshold_seconds", equal("severity", severity))


BELOW_CRITICAL = f"{LEFT} < {threshold('critical')}"
BELOW_WARNING = f"{LEFT} < {threshold('warning')}"


def excepted(allow: str) -> str:
    """Return the keys that are allowed something. The exporter's own key is allowed nothing."""
    return without(of_keys("exception", equal("allow", allow)), OWN)


SUCCEEDED = without(REPLACED, used_within(1))
"""A key that is still used has not been succeeded: its replacement is not deployed."""


def _in_use(idle: str, days: int) -> str:
    """Return the keys that have been idle for at most some days, or a day if they have been replaced."""
    return f"{idle} <= 86400 * ({days} - {days - 1} * {by_key('replaced')})"


_REJECTED = _in_use(f"time() - {USED}", 7)
_NOT_EXPIRING = (INACTIVE, SUCCEEDED, OWN, excepted("expiry"))

CRITICAL = without(f"{LEFT} > 0 < {threshold('critical')}", *_NOT_EXPIRING)
WARNING = without(f"{LEFT} > 0 < {threshold('warning')}", *_NOT_EXPIRING)
NEAR = without(f"{LEFT} > 0 < 2 * {threshold('warning')}", *_NOT_EXPIRING)
OWN_EXPIRING = both(BELOW_WARNING, OWN)
EXPIRED_IN_USE = without(
    both(f"{LEFT} <= 0 >= -7 * 86400", _in_use(f"{EXPIRY} - {USED}", 90)), excepted("expiry")
)
OWNER_DISABLED_IN_USE = without(both(OWNER_DISABLED, _REJECTED), EXPIRED, INACTIVE)
UNUSED = without(
    both(
        ACTIVE,
        # Like a key that was last used 60 days before it was created, so that 30 days are as 90.
        block(
            first_of(
                of_keys("last_used_timestamp_seconds"),
                f"{of_keys('created_timestamp_seconds')} - 60 * 86400",
            )
            + " <= time() - 90 * 86400"
        ),
    ),
    excepted("unused"),
)
NEVER_EXPIRES = without(
    ACTIVE,
    of_keys("expiry_timestamp_seconds"),
    MALFORMED,
    excepted("never_expires"),
    # An older exporter does not say which records are malformed.
    block(f"{ACTIVE}\nand on (portal) {series('api_keys_malformed')} > 0\nunless on (portal) {MALFORMED}"),
)
FULL_ACCESS = without(both(of_keys("info", equal("access", "full")), ACTIVE), excepted("full_access"))

# The worst first. A state in grey or blue asks for nothing.
EXPIRED_STATE, CRITICAL_STATE, OFF_STATE, OWNER_STATE, WARNING_STATE, MALFORMED_STATE, OK_STATE = range(7)
EXCEPTED_STATE, REPLACED_STATE, OWNER_QUIET_STATE, OFF_QUIET_STATE, EXPIRED_QUIET_STATE = range(7, 12)
STATES = (
    ("expired", "red"),
    ("critical", "red"),
    ("off", "orange"),
    ("owner disabled", "orange"),
    ("warning", "orange"),
    ("malformed", "orange"),
    ("ok", "green"),
    ("excepted", "blue"),
    ("replaced", "blue"),
    ("owner disabled", "text"),
    ("off", "text"),
    ("expired", "text"),
)
"""Name and colour of each state, by number."""

# What an earlier line has found, a later one need not exclude.
_STATE = first_of(
    *(
        f"0 * {block(condition)} + {state}"
        for state, condition in (
            (EXPIRED_STATE, EXPIRED_IN_USE),
            (EXPIRED_QUIET_STATE, EXPIRED),
            (OFF_STATE, both(INACTIVE, _REJECTED)),
            (OFF_QUIET_STATE, INACTIVE),
            (CRITICAL_STATE, OWN_EXPIRING),
            (REPLACED_STATE, SUCCEEDED),
            (CRITICAL_STATE, without(BELOW_CRITICAL, excepted("expiry"))),
            (OWNER_STATE, both(OWNER_DISABLED, used_within(7))),
            (EXCEPTED_STATE, excepted("expiry")),
            (WARNING_STATE, BELOW_WARNING),
            (OWNER_QUIET_STATE, OWNER_DISABLED),
            (OK_STATE, without(ACTIVE, MALFORMED)),
            (MALFORMED_STATE, SEEN),
        )
    )
)
_DISTANCE = f"clamp_max({first_of(f'abs({LEFT})', f'0 * {SEEN} + 1e11')}, 1e11)"
STATE = f"max by (portal, id) {_STATE} + {_DISTANCE} / 1.01e11"
"""The number of the state, and as its fraction how far the expiry is away: an order of what is worst."""


def of_chosen(name: str, chosen: str) -> str:
    """Return a series of a few chosen keys: without the others it is cheap enough for graphs."""
    return f"max by (portal, id) {both(of_keys(name), chosen)}"


def at_either_end(expr: str) -> str:
    """Return an expression as of the end of the time range, or else as of its beginning."""
    end = at_end(expr)
    return first_of(end, end.replace("@ end()", "@ start()"))


def state_over_time(chosen: str) -> str:
    """Return a short form of the state of a few chosen keys: one of `STATES_OVER_TIME`."""
    left = of_chosen("time_to_expiry_seconds", chosen)
    return f"""floor(clamp({left} / {at_either_end(threshold("critical"))}, -1, 1))
+ floor(clamp({left} / {at_either_end(threshold("warning"))}, 0, 1))
- 10 * {of_chosen("active", chosen)} + 100 * {of_chosen("replaced", chosen)}"""


# The lines of the above are -1 expired, 0 critical, 1 warning, 2 ok.
STATES_OVER_TIME = (
    (-11, -11, "expired", "red"),
    (-10, -10, "critical", "red"),
    (-9, -9, "warning", "orange"),
    (-8, -8, "ok", "green"),
    (-1, -1, "expired", "red"),
    (0, 2, "off", "text"),
    (89, 92, "replaced", "blue"),
    (99, 102, "off", "text"),
)
"""The values of that: 10 less for an active key, 100 more for a replaced one."""

SHOWN = {
    "all": ("all", ""),
    "critical": ("critical", CRITICAL),
    "warning": ("warning", WARNING),
    "expired-in-use": ("expired in use", EXPIRED_IN_USE),
    "owner-disabled": ("owner disabled", OWNER_DISABLED_IN_USE),
    "own": ("exporter's own", OWN),
    "unused": ("unused", UNUSED),
    "full-access": ("full access", FULL_ACCESS),
    "never-expires": ("never expire", NEVER_EXPIRES),
    "expired": ("expired", EXPIRED),
}
"""What the variable `show` selects: what it is called, and the keys."""

SELECTED = "${show:raw}"
"""The condition that the variable `show` adds to an expression."""


def selection(show: str) -> str:
    """Return a value of the variable `show`, in one line."""
    condition = SHOWN[show][1].replace(f"{{{PORTAL}, ", "{").replace(f"{{{PORTAL}}}", "")
    return (
        "and on (portal, id) " + " ".join(condition.split())
        if condition
        else "and on () docspace_exporter_build_info"
    )


_NAMES = "name, postfix, owner, access"
_INFO = series("api_key_info", OWNER)
_PORTALS = series("portal_info")
URL = f"""topk by (portal) (1,
  max by (portal, url) (timestamp({_PORTALS}) and {_PORTALS})
)"""
"""The newest address of each portal."""

INFO = f"""topk by (portal, id) (1,
  max by (portal, id, {_NAMES}) (timestamp({_INFO}) and {_INFO})
)
* on (portal) group_left (url)
{URL}"""
"""The newest name and owner of each key of the selected owners, and the address of its portal."""

SUCCESS = by_portal("poll_last_success_timestamp_seconds")
OVERDUE = f"clamp_min(3 * {by_portal('poll_interval_seconds')}, 15 * 60)"
"""After how many seconds without a successful poll the data of a portal is stale."""

_RENAMED = block(
    f"""last_over_time({_PORTALS}[6h])
unless on (portal) docspace_poll_last_success_timestamp_seconds
and on (url) docspace_portal_info"""
)


def _of_6_hours(name: str) -> str:
    return f"max by (portal) (max_over_time({series(name)}[6h]))"


PORTALS_DOWN = f"""time() - {_of_6_hours("poll_last_success_timestamp_seconds")}
> clamp_min(3 * {_of_6_hours("poll_interval_seconds")}, 15 * 60)
unless on (portal) {_RENAMED}"""
"""The portals of the last 6 hours whose data is stale, or that nobody exports any longer."""


def keyed(expr: str, *labels: str) -> str:
    """Return an expression for the selected keys with these labels and `key`, unique over portals."""
    selected = f"{block(expr)}\n{SELECTED}"
    joined = block(f'{selected},\n"key", "/", "portal", "id"')
    return f"max by ({', '.join(('key', *labels))}) (label_join{joined})"
