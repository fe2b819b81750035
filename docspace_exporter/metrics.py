"""What is exposed: names, help texts and labels. The only module that knows metric names.

A new metric needs an entry here, in docs/metrics.md, and a test.
"""

import math
import platform
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.samples import Sample

from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace.model import ApiKey, Snapshot
from docspace_exporter.gauges import KeyGauge, LabeledKeyGauge, TickingKeyGauge, TickingPortalGauge
from docspace_exporter.policy import allowed, thresholds
from docspace_exporter.poller import PortalState

Labels = Mapping[str, str]


class ExporterState(msgspec.Struct, frozen=True):
    """What is known about the exporter itself."""

    version: str
    revision: str
    reload_successful: bool = True
    reload_success_time: float = 0.0
    """Unix seconds."""


def _finite_expiry(key: ApiKey) -> float | None:
    return None if key.expiry is None or math.isinf(key.expiry) else key.expiry


def _time_to(moment: float, now: float) -> float:
    return moment - now


def _time_since(moment: float, now: float) -> float:
    return now - moment if now > moment else 0.0


KEY_GAUGES = (
    KeyGauge(
        "docspace_api_key_active",
        "Whether the key is enabled (1) or disabled (0).",
        lambda key, _: key.active,
    ),
    KeyGauge(
        "docspace_api_key_replaced",
        "Whether another active key with the same owner and name expires later or never (1) or not (0).",
        lambda key, _: key.replaced,
    ),
    KeyGauge(
        "docspace_api_key_last_seen_timestamp_seconds",
        "When a poll last returned the key, in Unix time.",
        lambda _, snapshot: snapshot.received,
    ),
    KeyGauge(
        "docspace_api_key_created_timestamp_seconds",
        "When the key was created, in Unix time.",
        lambda key, _: key.created,
    ),
    KeyGauge(
        "docspace_api_key_expiry_timestamp_seconds",
        "When the key expires, in Unix time; absent for a key that never expires.",
        lambda key, _: _finite_expiry(key),
    ),
    KeyGauge(
        "docspace_api_key_last_used_timestamp_seconds",
        "When the key was last used, in Unix time; absent for a key that was never used.",
        lambda key, _: key.last_used,
    ),
    KeyGauge(
        "docspace_api_key_owner_active",
        "Whether the owner is active (1), or disabled or removed (0); absent if the portal does not say.",
        lambda key, snapshot: snapshot.owner_active(key),
    ),
    KeyGauge(
        "docspace_api_key_malformed",
        "Something in the key's record cannot be read, always 1; absent for other keys.",
        lambda key, _: 1 if key.malformed else None,
    ),
)
"""
docspace_api_key_active{id="0b4b6e0c",name="backup job",portal="acme",postfix="9f3a"} 1.0
docspace_api_key_replaced{id="0b4b6e0c",name="backup job",portal="acme",postfix="9f3a"} 0.0
docspace_api_key_last_seen_timestamp_seconds{id="0b4b6e0c",name="backup job",...} 1.79549244e+09
docspace_api_key_created_timestamp_seconds{id="0b4b6e0c",name="backup job",...} 1.7723556e+09
docspace_api_key_expiry_timestamp_seconds{id="0b4b6e0c",name="backup job",...} 1.7960724e+09
docspace_api_key_last_used_timestamp_seconds{id="0b4b6e0c",name="backup job",...} 1.79533533e+09
docspace_api_key_owner_active{id="0b4b6e0c",name="backup job",portal="acme",postfix="9f3a"} 1.0
docspace_api_key_malformed{id="7d0c9a51",name="CRM sync",portal="acme",postfix="0001"} 1.0
"""

LABELED_KEY_GAUGES = (
    LabeledKeyGauge(
        "docspace_api_key_expiry_threshold_seconds",
        "How long before the key's expiry its alerts begin; absent for a key that never expires.",
        "severity",
        lambda key, portal, _: (
            (severity, seconds, math.inf) for severity, seconds in thresholds(key, portal).items()
        ),
    ),
    LabeledKeyGauge(
        "docspace_api_key_exception",
        "What a configured exception allows the key, always 1; absent for other keys.",
        "allow",
        lambda key, portal, snapshot: (
            (allow, 1, end) for allow, end in allowed(key, portal, snapshot).items()
        ),
    ),
)
"""
docspace_api_key_expiry_threshold_seconds{id="0b4b6e0c",name="backup job",...,severity="critical"} 259200.0
docspace_api_key_exception{id="7d0c9a51",name="CRM sync",portal="acme",postfix="0001",allow="unused"} 1.0
"""

TICKING_PORTAL_GAUGES = (
    TickingPortalGauge(
        "docspace_api_keys_expired",
        "API keys that are past their expiry.",
        lambda snapshot: sorted(key.expiry for key in snapshot.keys if key.expiry is not None),
        lambda expiries, now: float(bisect_right(expiries, now)),
    ),
)
"""
docspace_api_keys_expired{portal="acme"} 1.0
"""

TICKING_KEY_GAUGES = (
    TickingKeyGauge(
        "docspace_api_key_time_to_expiry_seconds",
        "Time until the key expires, negative after its expiry; absent for a key that never expires.",
        _finite_expiry,
        _time_to,
    ),
    TickingKeyGauge(
        "docspace_api_key_time_since_last_use_seconds",
        "Time since the key was last used; absent for a key that was never used.",
        lambda key: key.last_used,
        _time_since,
    ),
)
"""
docspace_api_key_time_to_expiry_seconds{id="0b4b6e0c",name="backup job",portal="acme",postfix="9f3a"} 579960.0
docspace_api_key_time_since_last_use_seconds{id="0b4b6e0c",name="backup job",...} 157110.0
"""


def portal_labels(portal: Portal, label_names: Sequence[str]) -> Labels:
    """Return the labels of all series of a portal; labels configured for any portal are on all of them."""
    return {"portal": portal.name, **dict.fromkeys(label_names, ""), **dict(portal.labels)}


def key_labels(labels: Labels, key: ApiKey) -> Labels:
    """Return the labels of a key's series; `id` alone makes them unique."""
    return {**labels, "id": key.id, "name": key.name, "postfix": key.postfix}


def exporter_metrics(state: ExporterState) -> Iterator[Metric]:
    """Return the metrics of the exporter itself.

    docspace_exporter_build_info{python_version="3.11.7",revision="unknown",version="0.1.0"} 1.0
    docspace_exporter_config_last_reload_successful 1.0
    docspace_exporter_config_last_reload_success_timestamp_seconds 1.79549e+09
    """
    build = {
        "version": state.version,
        "revision": state.revision,
        "python_version": platform.python_version(),
    }
    yield _gauge("docspace_exporter_build_info", "Version of the exporter, always 1.", build, 1)
    yield _gauge(
        "docspace_exporter_config_last_reload_successful",
        "Whether the last attempt to load the configuration succeeded (1) or not (0).",
        {},
        state.reload_successful,
    )
    yield _gauge(
        "docspace_exporter_config_last_reload_success_timestamp_seconds",
        "When the configuration was last loaded, in Unix time.",
        {},
        state.reload_success_time,
    )


_SNAPSHOT_GAUGES: tuple[tuple[str, str, Callable[[Snapshot], float | None]], ...] = (
    ("docspace_api_keys", "API keys in the newest successful poll.", lambda snapshot: len(snapshot.keys)),
    (
        "docspace_api_keys_active",
        "API keys that are enabled.",
        lambda snapshot: sum(key.active is True for key in snapshot.keys),
    ),
    (
        "docspace_api_keys_malformed",
        "Records of the newest successful poll that could not be read completely.",
        lambda snapshot: snapshot.malformed,
    ),
    (
        "docspace_api_keys_complete",
        "Whether the exporter sees every key of the portal (1) or only those of its own user (0).",
        lambda snapshot: snapshot.identity.sees_every_key,
    ),
)


def portal_metrics(state: PortalState, labels: Labels) -> Iterator[Metric]:
    """Return the metrics of a portal that stay the same between polls.

    docspace_up{portal="acme"} 1.0
    docspace_portal_info{portal="acme",url="https://acme.onlyoffice.com"} 1.0
    docspace_api_keys{portal="acme"} 12.0
    docspace_api_keys_active{portal="acme"} 10.0
    docspace_api_keys_malformed{portal="acme"} 0.0
    docspace_api_keys_complete{portal="acme"} 1.0
    docspace_poll_last_success_timestamp_seconds{portal="acme"} 1.79549244e+09
    docspace_poll_interval_seconds{portal="acme"} 300.0
    docspace_poll_duration_seconds_count{portal="acme"} 3.0
    docspace_poll_duration_seconds_sum{portal="acme"} 0.4
    docspace_poll_failures_total{portal="acme",reason="timeout"} 0.0
    """
    url = {**labels, "url": state.portal.url}
    yield _gauge("docspace_up", "Whether the newest poll succeeded (1) or not (0).", labels, state.up)
    yield _gauge("docspace_portal_info", "URL of the portal, always 1.", url, 1)
    for name, documentation, value in _SNAPSHOT_GAUGES:
        yield _gauge(name, documentation, labels, value(state.snapshot) if state.snapshot else None)
    yield _gauge(
        "docspace_poll_last_success_timestamp_seconds",
        "When the newest successful poll received its response, in Unix time; 0 before the first.",
        labels,
        state.last_success,
    )
    yield _gauge(
        "docspace_poll_interval_seconds",
        "Configured time between two polls of the portal.",
        labels,
        state.portal.poll_interval,
    )
    duration = SummaryMetricFamily(
        "docspace_poll_duration_seconds", "Duration of polls, successful or failed.", labels=tuple(labels)
    )
    duration.add_metric(tuple(labels.values()), state.polls, state.poll_seconds)
    yield duration
    failures = CounterMetricFamily(
        "docspace_poll_failures", "Failed polls by reason.", labels=(*labels, "reason")
    )
    for reason, count in state.failures.items():
        failures.add_metric((*labels.values(), reason.value), count)
    yield failures


def key_info(state: PortalState, labels: Labels) -> Metric:
    """Return the info metric of each key.

    docspace_api_key_info{access="scoped",id="0b4b6e0c",name="backup job",owner="Ann O'Neil",
        permissions="files:read,rooms:write",portal="acme",postfix="9f3a",self="false"} 1.0
    """
    metric = GaugeMetricFamily("docspace_api_key_info", "Owner, permissions and kind of the key, always 1.")
    if state.snapshot:
        own_key_id = state.snapshot.identity.own_key_id
        for key in state.snapshot.keys:
            own = "unknown" if own_key_id is None else "true" if key.id == own_key_id else "false"
            about = {
                "owner": key.owner if state.portal.export_owner else "",
                "permissions": ",".join(key.permissions or ()),
                "access": key.access,
                "self": own,
            }
            metric.samples.append(Sample(metric.name, {**key_labels(labels, key), **about}, 1))
    return metric


def _gauge(name: str, documentation: str, labels: Labels, value: float | None) -> Metric:
    """Return a gauge with one series, or with none if the value is unknown."""
    metric = GaugeMetricFamily(name, documentation)
    if value is not None:
        metric.samples.append(Sample(name, dict(labels), value))
    return metric
