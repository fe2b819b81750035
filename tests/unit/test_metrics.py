"""The exposed series: names, labels, values, and when a series is absent."""

import math
import platform
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from prometheus_client import generate_latest

from docspace_exporter.config import portals
from docspace_exporter.config.exceptions import KeyException
from docspace_exporter.docspace.failures import PollError, Reason
from docspace_exporter.docspace.model import ApiKey, Identity
from docspace_exporter.metrics import ExporterState
from docspace_exporter.poller import PortalState
from tests.support.collector import DocSpaceCollector
from tests.support.portals import polled, portal_at
from tests.support.samples import Series, samples, values

NOW = 1_800_000_000.0
DAY = 86_400.0
EXPORTER = ExporterState(version="1.2.3", revision="abc", reload_success_time=5.0)
ACME = portal_at("https://acme.example", labels=(("team", "storage"),), poll_interval=60.0)
KEY = ApiKey(
    id="1",
    name="backup job",
    postfix="9f3a",
    owner="Ann O'Neil",
    permissions=("files:read", "rooms:write"),
    created=NOW - 100 * DAY,
    expiry=NOW + 2 * DAY,
    last_used=NOW - DAY,
    active=True,
)
KEY_LABELS = {"portal", "id", "name", "postfix"}

SERIES: Mapping[str, set[str]] = {
    "docspace_up": {"portal"},
    "docspace_api_keys": {"portal"},
    "docspace_api_keys_active": {"portal"},
    "docspace_api_keys_expired": {"portal"},
    "docspace_api_keys_malformed": {"portal"},
    "docspace_api_keys_complete": {"portal"},
    "docspace_api_key_info": {*KEY_LABELS, "owner", "permissions", "access", "self"},
    "docspace_api_key_active": KEY_LABELS,
    "docspace_api_key_replaced": KEY_LABELS,
    "docspace_api_key_last_seen_timestamp_seconds": KEY_LABELS,
    "docspace_api_key_created_timestamp_seconds": KEY_LABELS,
    "docspace_api_key_expiry_timestamp_seconds": KEY_LABELS,
    "docspace_api_key_last_used_timestamp_seconds": KEY_LABELS,
    "docspace_api_key_time_to_expiry_seconds": KEY_LABELS,
    "docspace_api_key_time_since_last_use_seconds": KEY_LABELS,
    "docspace_api_key_owner_active": KEY_LABELS,
    "docspace_api_key_malformed": KEY_LABELS,
    "docspace_api_key_expiry_threshold_seconds": {*KEY_LABELS, "severity"},
    "docspace_api_key_exception": {*KEY_LABELS, "allow"},
    "docspace_portal_info": {"portal", "url"},
    "docspace_poll_last_success_timestamp_seconds": {"portal"},
    "docspace_poll_interval_seconds": {"portal"},
    "docspace_poll_duration_seconds_sum": {"portal"},
    "docspace_poll_duration_seconds_count": {"portal"},
    "docspace_poll_failures_total": {"portal", "reason"},
    "docspace_exporter_build_info": {"version", "revision", "python_version"},
    "docspace_exporter_config_last_reload_successful": set(),
    "docspace_exporter_config_last_reload_success_timestamp_seconds": set(),
}


def exposed(*states: PortalState, now: float = NOW, labels: tuple[str, ...] = ()) -> dict[Series, float]:
    return samples(generate_latest(DocSpaceCollector(EXPORTER, states, labels, lambda: now)).decode())


def of_key(name: str, key: ApiKey = KEY, now: float = NOW) -> float | None:
    """Return the value of a key's series; None if it is absent."""
    return values(exposed(polled(key), now=now), name, "portal", "id", "name", "postfix").get(
        ("acme", key.id, key.name, key.postfix)
    )


def of_portal(name: str, state: PortalState, now: float = NOW) -> float | None:
    """Return the value of a portal's series; None if it is absent."""
    return values(exposed(state, now=now), name, "portal").get(("acme",))


def changed(**fields: Any) -> ApiKey:
    return msgspec.structs.replace(KEY, **fields)


def failed(state: PortalState, reason: Reason = Reason.TIMEOUT) -> PortalState:
    failures = {**state.failures, reason: state.failures[reason] + 1}
    return msgspec.structs.replace(
        state, failure=PollError(reason, "why"), failures=failures, polls=state.polls + 1
    )


NEVER_POLLED = PortalState(portal_at("https://acme.example"))
EXCEPTION = KeyException(name="CRM*", allow=("expiry", "unused"), reason="OPS-12", until=date(2027, 1, 31))
COMPLETE = polled(
    KEY,
    changed(id="2", name="CRM sync", malformed=("createOn",), owner_id="ann"),
    portal=portal_at("https://acme.example", exceptions=(EXCEPTION,)),
    identity=Identity(b"", own_key_id="1", sees_every_key=True, disabled_members=frozenset()),
)


def test_exactly_these_series_are_exposed_with_these_labels() -> None:
    found: dict[str, set[str]] = {}
    for name, labels in exposed(COMPLETE):
        assert found.setdefault(name, {label for label, _ in labels}) == {label for label, _ in labels}
    assert found == SERIES


def test_reserved_labels_are_those_in_use() -> None:
    assert set().union(*SERIES.values()) == portals.RESERVED_LABELS


def test_metrics_have_their_prometheus_types() -> None:
    metrics = DocSpaceCollector(EXPORTER, [COMPLETE], ()).collect()
    types = {metric.name: metric.type for metric in metrics if metric.type != "gauge"}
    assert types == {"docspace_poll_duration_seconds": "summary", "docspace_poll_failures": "counter"}


def test_every_metric_has_a_help_text_of_one_sentence() -> None:
    for metric in DocSpaceCollector(EXPORTER, [COMPLETE], ()).collect():
        assert metric.documentation.endswith(".")
        assert metric.documentation[0].isupper()


def test_up_is_absent_until_the_first_poll_has_ended() -> None:
    assert of_portal("docspace_up", NEVER_POLLED) is None
    assert of_portal("docspace_up", failed(NEVER_POLLED)) == 0
    assert of_portal("docspace_up", polled()) == 1
    assert of_portal("docspace_up", failed(polled())) == 0


@pytest.mark.parametrize("state", [NEVER_POLLED, failed(NEVER_POLLED)], ids=["never polled", "always failed"])
def test_series_of_keys_are_absent_before_the_first_successful_poll(state: PortalState) -> None:
    names = {name for name, _ in exposed(state)}
    assert not {name for name in names if name.startswith("docspace_api_key")}
    assert of_portal("docspace_poll_last_success_timestamp_seconds", state) == 0


def test_a_failed_poll_changes_only_up_failures_and_poll_durations() -> None:
    before, after = exposed(COMPLETE), exposed(failed(COMPLETE))
    different = {name for (name, labels), value in after.items() if before[name, labels] != value}
    assert before.keys() == after.keys()
    assert different == {
        "docspace_up",
        "docspace_poll_failures_total",
        "docspace_poll_duration_seconds_count",
    }


def test_keys_are_counted() -> None:
    state = polled(
        changed(id="1", active=False, expiry=NOW - 1),
        changed(id="2", active=None, expiry=None),
        changed(id="3", expiry=math.inf),
        changed(id="4", expiry=NOW),
        changed(id="5", expiry=NOW + 1),
        malformed=3,
    )
    assert of_portal("docspace_api_keys", state) == 5
    assert of_portal("docspace_api_keys_active", state) == 3
    assert of_portal("docspace_api_keys_malformed", state) == 3
    assert of_portal("docspace_api_keys_expired", state) == 2


def test_a_portal_without_keys_has_a_count_of_zero() -> None:
    for name in ("docspace_api_keys", "docspace_api_keys_active", "docspace_api_keys_expired"):
        assert of_portal(name, polled()) == 0


def test_keys_expire_between_polls() -> None:
    expired = [of_portal("docspace_api_keys_expired", polled(KEY), now) for now in (NOW, NOW + 3 * DAY)]
    assert expired == [0, 1]


@pytest.mark.parametrize(("complete", "value"), [(True, 1), (False, 0), (None, None)])
def test_complete_is_absent_if_the_portal_does_not_report_it(
    complete: bool | None, value: float | None
) -> None:
    state = polled(identity=Identity(b"", sees_every_key=complete))
    assert of_portal("docspace_api_keys_complete", state) == value


def test_the_info_of_a_key_has_its_properties_as_labels() -> None:
    found = exposed(polled(KEY, changed(id="2"), identity=Identity(b"", own_key_id="2")))
    labels = ("id", "name", "postfix", "owner", "permissions", "access", "self")
    assert values(found, "docspace_api_key_info", *labels) == {
        ("1", "backup job", "9f3a", "Ann O'Neil", "files:read,rooms:write", "scoped", "false"): 1,
        ("2", "backup job", "9f3a", "Ann O'Neil", "files:read,rooms:write", "scoped", "true"): 1,
    }


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [((), ("", "full")), (("a:read",), ("a:read", "scoped")), (None, ("", "unknown"))],
)
def test_permissions_and_access_are_labels_of_a_key(
    permissions: tuple[str, ...] | None, expected: tuple[str, str]
) -> None:
    found = exposed(polled(changed(permissions=permissions)))
    assert values(found, "docspace_api_key_info", "permissions", "access") == {expected: 1}


def test_self_is_unknown_if_the_portal_does_not_report_it() -> None:
    found = exposed(polled(KEY, identity=Identity(b"", own_key_id=None)))
    assert values(found, "docspace_api_key_info", "self") == {("unknown",): 1}


def test_owners_are_not_exposed_if_export_owner_is_disabled() -> None:
    text = generate_latest(
        DocSpaceCollector(
            EXPORTER, [polled(KEY, portal=portal_at("https://a.example", export_owner=False))], ()
        )
    )
    assert b'owner=""' in text
    assert b"Ann" not in text


@pytest.mark.parametrize(
    ("name", "field", "value", "expected"),
    [
        ("docspace_api_key_active", "active", True, 1),
        ("docspace_api_key_active", "active", False, 0),
        ("docspace_api_key_active", "active", None, None),
        ("docspace_api_key_replaced", "replaced", True, 1),
        ("docspace_api_key_replaced", "replaced", False, 0),
        ("docspace_api_key_created_timestamp_seconds", "created", 1.5e9, 1.5e9),
        ("docspace_api_key_created_timestamp_seconds", "created", 0.0, 0),
        ("docspace_api_key_created_timestamp_seconds", "created", None, None),
        ("docspace_api_key_expiry_timestamp_seconds", "expiry", 1.5e9, 1.5e9),
        ("docspace_api_key_expiry_timestamp_seconds", "expiry", math.inf, None),
        ("docspace_api_key_expiry_timestamp_seconds", "expiry", None, None),
        ("docspace_api_key_last_used_timestamp_seconds", "last_used", 1.5e9, 1.5e9),
        ("docspace_api_key_last_used_timestamp_seconds", "last_used", None, None),
        ("docspace_api_key_time_to_expiry_seconds", "expiry", NOW + 7.5, 7.5),
        ("docspace_api_key_time_to_expiry_seconds", "expiry", NOW - 7.5, -7.5),
        ("docspace_api_key_time_to_expiry_seconds", "expiry", NOW, 0),
        ("docspace_api_key_time_to_expiry_seconds", "expiry", math.inf, None),
        ("docspace_api_key_time_to_expiry_seconds", "expiry", None, None),
        ("docspace_api_key_time_since_last_use_seconds", "last_used", NOW - 7.5, 7.5),
        ("docspace_api_key_time_since_last_use_seconds", "last_used", NOW + 7.5, 0),
        ("docspace_api_key_time_since_last_use_seconds", "last_used", None, None),
    ],
)
def test_the_series_of_a_key_have_the_values_of_its_fields(
    name: str, field: str, value: Any, expected: float | None
) -> None:
    assert of_key(name, changed(**{field: value})) == expected


@pytest.mark.parametrize(
    ("fields", "thresholds"),
    [
        ({"created": NOW - 363 * DAY, "expiry": NOW + 2 * DAY}, {"warning": 14 * DAY, "critical": 3 * DAY}),
        ({"created": NOW, "expiry": NOW + 30 * DAY}, {"warning": 10 * DAY, "critical": 3 * DAY}),
        ({"created": NOW, "expiry": NOW + 6 * DAY}, {"warning": 2 * DAY, "critical": 0.6 * DAY}),
        ({"created": None, "expiry": NOW + 6 * DAY}, {"warning": 14 * DAY, "critical": 3 * DAY}),
        ({"created": NOW, "expiry": NOW - DAY}, {"warning": 14 * DAY, "critical": 3 * DAY}),
        ({"expiry": math.inf}, {}),
        ({"expiry": None}, {}),
    ],
    ids=[
        "a year",
        "30 days",
        "6 days",
        "creation unknown",
        "expiry before creation",
        "never",
        "unreadable",
    ],
)
def test_thresholds_are_as_configured_but_at_most_a_third_and_a_tenth_of_the_lifetime(
    fields: dict[str, float | None], thresholds: dict[str, float]
) -> None:
    found = values(
        exposed(polled(changed(**fields))), "docspace_api_key_expiry_threshold_seconds", "severity"
    )
    assert found == {(severity,): seconds for severity, seconds in thresholds.items()}


def allowed(state: PortalState, now: float = NOW) -> set[tuple[str, ...]]:
    """Return the id and the exception of each series."""
    return set(values(exposed(state, now=now), "docspace_api_key_exception", "id", "allow"))


def test_an_exception_has_a_series_for_each_thing_that_it_allows() -> None:
    assert allowed(COMPLETE) == {("2", "expiry"), ("2", "unused")}


def test_an_exception_ends_at_midnight_utc_without_another_poll() -> None:
    end = datetime(2027, 1, 31, tzinfo=UTC).timestamp()
    assert allowed(COMPLETE, now=end - 1)
    assert not allowed(COMPLETE, now=end)


def test_of_two_exceptions_the_one_that_lasts_longer_counts() -> None:
    longer = KeyException(id="2", allow=("unused",), reason="OPS-13")
    portal = portal_at("https://acme.example", exceptions=(EXCEPTION, longer))
    state = msgspec.structs.replace(COMPLETE, portal=portal)
    assert allowed(state, now=NOW + 365 * DAY) == {("2", "unused")}


def test_the_exporters_own_key_has_no_exception() -> None:
    everything = KeyException(id="*", allow=("expiry",), reason="OPS-14")
    portal = portal_at("https://acme.example", exceptions=(everything,))
    assert allowed(msgspec.structs.replace(COMPLETE, portal=portal)) == {("2", "expiry")}


def test_a_key_was_last_seen_at_the_last_successful_poll() -> None:
    assert of_key("docspace_api_key_last_seen_timestamp_seconds") == COMPLETE.last_success


def test_times_advance_between_polls() -> None:
    assert of_key("docspace_api_key_time_to_expiry_seconds", now=NOW + 60) == 2 * DAY - 60
    assert of_key("docspace_api_key_time_since_last_use_seconds", now=NOW + 60) == DAY + 60


def test_the_url_interval_and_last_success_of_a_portal_are_exposed() -> None:
    state = polled(portal=ACME, received=NOW - 5)
    assert values(exposed(state), "docspace_portal_info", "url") == {("https://acme.example",): 1}
    assert of_portal("docspace_poll_interval_seconds", state) == 60
    assert of_portal("docspace_poll_last_success_timestamp_seconds", state) == NOW - 5


def test_poll_durations_are_exposed_as_sum_and_count() -> None:
    state = msgspec.structs.replace(COMPLETE, polls=3, poll_seconds=1.5)
    assert of_portal("docspace_poll_duration_seconds_count", state) == 3
    assert of_portal("docspace_poll_duration_seconds_sum", state) == 1.5
    assert of_portal("docspace_poll_duration_seconds_count", NEVER_POLLED) == 0


def test_failures_of_every_reason_start_at_zero() -> None:
    counts = values(exposed(NEVER_POLLED), "docspace_poll_failures_total", "reason")
    assert counts == dict.fromkeys(
        [
            *(("unauthorized",), ("payment_required",), ("forbidden",), ("not_found",), ("rate_limited",)),
            *(("server_error",), ("redirect",), ("unexpected_status",), ("timeout",), ("connection",)),
            *(("tls",), ("too_large",), ("invalid_response",), ("credentials",)),
        ],
        0,
    )


def test_failures_are_counted_by_reason() -> None:
    counts = values(exposed(failed(failed(COMPLETE), Reason.TLS)), "docspace_poll_failures_total", "reason")
    assert {reason: count for reason, count in counts.items() if count} == {("timeout",): 1, ("tls",): 1}


def test_the_exporter_exposes_its_version_and_last_reload() -> None:
    found = exposed()
    version = ("1.2.3", "abc", platform.python_version())
    assert values(found, "docspace_exporter_build_info", "version", "revision", "python_version") == {
        version: 1
    }
    assert values(found, "docspace_exporter_config_last_reload_successful") == {(): 1}
    assert values(found, "docspace_exporter_config_last_reload_success_timestamp_seconds") == {(): 5}


def test_configured_labels_are_on_every_series_and_empty_if_a_portal_does_not_set_them() -> None:
    other = portal_at("https://b.example", name="other", labels=(("env", "prod"),))
    third = PortalState(portal_at("https://c.example", name="third"))
    found = exposed(polled(KEY, portal=ACME), polled(KEY, portal=other), third, labels=("env", "team"))
    for name, labels in found:
        configured = {"env", "team"} if "portal" in SERIES[name] else set()
        assert {label for label, _ in labels} == SERIES[name] | configured
    assert values(found, "docspace_api_key_active", "portal", "env", "team").keys() == {
        ("acme", "", "storage"),
        ("other", "prod", ""),
    }
    assert ("third", "", "") in values(found, "docspace_portal_info", "portal", "env", "team")
