"""Which keys an exception matches, and which exceptions have no effect."""

from datetime import date

import pytest

from docspace_exporter import policy
from docspace_exporter.config.exceptions import KeyException
from docspace_exporter.docspace.model import ApiKey, Identity
from docspace_exporter.poller import PortalState
from tests.support.portals import polled, portal_at

DAY = 86_400.0
MARCH = 1_803_859_200.0
"""2027-03-01, midnight UTC."""
SIGN = ApiKey(id="1", name="door sign [west]", owner="Ann O'Neil")
CRM = ApiKey(id="2", name="CRM", owner="Bob")


def exception(**fields: object) -> KeyException:
    return KeyException(**{"allow": ("expiry",), "reason": "OPS-12", **fields})  # type: ignore[arg-type]


def state(*exceptions: KeyException, own_key_id: str | None = None) -> PortalState:
    portal = portal_at("https://acme.example", exceptions=exceptions)
    return polled(SIGN, CRM, portal=portal, identity=Identity(b"", own_key_id=own_key_id))


def excepted(*exceptions: KeyException) -> set[str]:
    """Return the names of the keys that exceptions match."""
    found = state(*exceptions)
    assert found.snapshot
    return {
        key.name for key in found.snapshot.keys if policy.exceptions_for(key, found.portal, found.snapshot)
    }


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ({"name": "door sign*"}, {SIGN.name}),
        ({"name": "*"}, {SIGN.name, CRM.name}),
        ({"name": "C?M"}, {CRM.name}),
        ({"name": "crm"}, set()),
        ({"name": "CR"}, set()),
        ({"name": "door sign [west]"}, {SIGN.name}),
        ({"name": "[CD]RM"}, set()),
        ({"name": "C.M"}, set()),
        ({"name": "C", "owner": "*"}, set()),
        ({"owner": "Ann *"}, {SIGN.name}),
        ({"id": "2"}, {CRM.name}),
        ({"id": "2", "owner": "Bob", "name": "CRM"}, {CRM.name}),
        ({"id": "2", "owner": "Ann*"}, set()),
    ],
)
def test_all_patterns_of_an_exception_must_match(patterns: dict[str, str], names: set[str]) -> None:
    assert excepted(exception(**patterns)) == names


def test_a_pattern_of_many_stars_is_matched_in_time() -> None:
    key = ApiKey(id="1", name="a" * 200)
    found = polled(
        key, portal=portal_at("https://acme.example", exceptions=(exception(name="*a" * 50 + "b"),))
    )
    assert found.snapshot
    assert policy.exceptions_for(key, found.portal, found.snapshot) == ()


def ineffective(found: PortalState, now: float) -> dict[int, str]:
    assert found.snapshot
    return dict(policy.ineffective_exceptions(found.portal, found.snapshot, now))


def test_an_exception_without_effect_has_a_reason() -> None:
    found = state(
        exception(name="CRM"),
        exception(name="gone"),
        exception(name="CRM", until=date(2027, 3, 1)),
        exception(id="1"),
        own_key_id="1",
    )
    assert ineffective(found, MARCH - 1) == {
        1: "matches no key: correct or remove it",
        3: "matches only the exporter's own key, which cannot be excepted: remove it",
    }
    assert ineffective(found, MARCH)[2] == "ended on 2027-03-01: remove it"
