"""Arbitrary keys, portals and states for hypothesis."""

import math
from itertools import pairwise

import msgspec
from hypothesis import strategies as st

from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace.decode import TEXT_LIMIT
from docspace_exporter.docspace.failures import PollError, Reason
from docspace_exporter.docspace.model import ApiKey, Identity, Snapshot
from docspace_exporter.poller import PortalState
from tests.support.portals import portal_at

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=TEXT_LIMIT) | st.sampled_from(
    ['a"b\\c', "\\n", '"} 1', "# EOF", "\u2028", "", "# HELP x", "{", "é🔑"]
)
MOMENTS = st.floats(-6.3e10, 2.6e11)
"""Unix seconds between the years 1 and 9999."""

KEYS = st.builds(
    ApiKey,
    id=TEXTS,
    name=TEXTS,
    postfix=TEXTS,
    owner=TEXTS,
    permissions=st.none() | st.lists(TEXTS, max_size=3).map(lambda texts: tuple(sorted(texts))),
    created=st.none() | MOMENTS,
    expiry=st.none() | st.just(math.inf) | MOMENTS,
    last_used=st.none() | MOMENTS,
    active=st.none() | st.booleans(),
    replaced=st.booleans(),
)
KEY_LISTS = st.lists(KEYS, max_size=4, unique_by=lambda key: key.id).map(tuple)
SNAPSHOTS = st.builds(
    Snapshot,
    keys=KEY_LISTS,
    malformed=st.integers(0, 9),
    received=MOMENTS,
    identity=st.builds(
        Identity,
        key_digest=st.just(b""),
        own_key_id=st.none() | TEXTS,
        sees_every_key=st.none() | st.booleans(),
    ),
)
FAILURES = st.builds(PollError, st.sampled_from(Reason), TEXTS)


def portals(name: str) -> st.SearchStrategy[Portal]:
    """Return arbitrary portals with this name."""
    return st.builds(
        portal_at,
        st.just(f"https://{name}.example"),
        name=st.just(name),
        labels=st.dictionaries(st.sampled_from(["team", "env", "z"]), TEXTS).map(
            lambda labels: tuple(sorted(labels.items()))
        ),
        export_owner=st.booleans(),
        poll_interval=st.floats(0.001, 3e7),
    )


def states(portal: Portal) -> st.SearchStrategy[PortalState]:
    """Return arbitrary states of a portal: never polled, failed or successful."""
    return st.builds(
        PortalState,
        portal=st.just(portal),
        snapshot=st.none() | SNAPSHOTS,
        failure=st.none() | FAILURES,
        polls=st.integers(0, 3),
        poll_seconds=st.floats(0, 1e6),
        failures=st.fixed_dictionaries({reason: st.integers(0, 9) for reason in Reason}),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[list[PortalState]]:
    """Return the successive states of a few portals; a failed poll keeps the previous snapshot."""
    found = []
    for name in ("acme", "other", "third")[: draw(st.integers(0, 3))]:
        each = draw(st.lists(states(draw(portals(name))), min_size=1, max_size=3))
        for before, after in pairwise(range(len(each))):
            if each[after].failure:
                each[after] = msgspec.structs.replace(each[after], snapshot=each[before].snapshot)
        found.append(each)
    return found
