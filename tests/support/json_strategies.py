"""Arbitrary JSON that a portal might send, and the exposition of the keys in it."""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from docspace_exporter.docspace.decode import KeyList
from docspace_exporter.exposition import Exposition
from docspace_exporter.formats import Format
from docspace_exporter.metrics import ExporterState
from tests.support.portals import polled

HUGE = "a number of 5000 digits"
TEXTS = st.text(st.characters(exclude_categories=[]), max_size=20) | st.sampled_from(
    ["\ud800", "\0", "\n", '"', "\\", "é" * 300, "# EOF", "🔑", "&#0;&lt;&#xD800;", "9" * 5000]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just(HUGE)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
DATES = st.builds(
    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:07}{}".format,
    st.integers(0, 9999),
    *(st.integers(0, most) for most in (13, 32, 24, 60, 60, 9_999_999)),
    st.sampled_from(["Z", "+00:00", "+14:00", "-14:00", "+05:45", "", "+25:00", "z"]),
)
FIELDS: Mapping[str, st.SearchStrategy[Any]] = {
    "id": TEXTS,
    "name": TEXTS,
    "keyPostfix": TEXTS,
    "permissions": st.lists(TEXTS, max_size=3),
    "lastUsed": DATES,
    "createOn": DATES,
    "expiresAt": DATES | st.fixed_dictionaries({"utcTime": DATES, "timeZoneOffset": TEXTS}),
    "createBy": st.fixed_dictionaries({}, optional={"id": JSON, "displayName": TEXTS}),
    "isActive": st.booleans(),
}
RECORDS = JSON | st.fixed_dictionaries({}, optional={field: each | JSON for field, each in FIELDS.items()})


def encode(value: Any, *, escaped: bool = True) -> bytes:
    """Return JSON, with lone surrogates escaped or raw."""
    text = json.dumps(value, ensure_ascii=escaped).replace(json.dumps(HUGE), "9" * 5000)
    return text.encode("utf-8", "surrogatepass")


def exposed(listed: KeyList, format_: Format) -> str:
    """Return the exposition of the keys in a response."""
    exposition = Exposition(ExporterState("1", "2"), CollectorRegistry())
    state = polled(*listed.keys, malformed=listed.malformed)
    exposition.show(ExporterState("1", "2"), lambda: [state], ())
    return exposition.render(format_, gzip=False).decode()
