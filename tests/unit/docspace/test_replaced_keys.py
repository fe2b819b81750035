"""A key is replaced when another active key of its owner and name expires later, or never."""

from typing import Any

import pytest

from docspace_exporter.docspace import decode
from tests.support.portals import ABSENT, envelope, record

SOON = "2026-12-01T00:00:00Z"
LATER = "2027-12-01T00:00:00Z"


def replaced(first: dict[str, Any], second: dict[str, Any]) -> list[bool]:
    """Tell of two keys, each a record with changes, whether it is replaced."""
    records = [record(id=id_, **changes) for id_, changes in (("1", first), ("2", second))]
    return [key.replaced for key in decode.decode(envelope(records)).keys]


def with_both(**fields: Any) -> list[bool]:
    """Tell the same of a key that expires soon and one that expires later."""
    return replaced({"expiresAt": SOON, **fields}, {"expiresAt": LATER, **fields})


def test_a_key_is_replaced_by_one_that_expires_later() -> None:
    assert with_both() == [True, False]


def test_a_key_is_replaced_by_one_that_never_expires() -> None:
    assert replaced({"expiresAt": ABSENT}, {"expiresAt": SOON}) == [False, True]


def test_a_key_that_is_switched_off_is_replaced_all_the_same() -> None:
    assert replaced({"expiresAt": SOON, "isActive": False}, {"expiresAt": LATER}) == [True, False]


@pytest.mark.parametrize(
    "other",
    [
        {"isActive": False},
        {"isActive": ABSENT},
        {"name": "Backup job"},
        {"name": ABSENT},
        {"createBy": {"id": "another", "displayName": "Ann O&#39;Neil"}},
        {"createBy": ABSENT},
        {"expiresAt": SOON},
        {"expiresAt": "someday"},
    ],
    ids=str,
)
def test_a_key_is_not_replaced_by_one_that_is_no_successor(other: dict[str, Any]) -> None:
    assert replaced({"expiresAt": SOON}, {"expiresAt": LATER, **other}) == [False, False]


def test_a_key_whose_expiry_cannot_be_read_is_not_replaced() -> None:
    assert replaced({"expiresAt": "someday"}, {"expiresAt": LATER}) == [False, False]


def test_of_two_keys_that_never_expire_neither_is_replaced() -> None:
    assert replaced({"expiresAt": ABSENT}, {"expiresAt": ABSENT}) == [False, False]


@pytest.mark.parametrize("fields", [{"name": ""}, {"createBy": ABSENT}, {"createBy": {"displayName": ""}}])
def test_keys_without_a_name_or_an_owner_replace_none(fields: dict[str, Any]) -> None:
    assert with_both(**fields) == [False, False]


def test_an_owner_is_known_by_id_though_renamed() -> None:
    before, after = ({"createBy": {"id": "5a1f", "displayName": name}} for name in ("Ann O", "Ann N"))
    assert replaced({"expiresAt": SOON, **before}, {"expiresAt": LATER, **after}) == [True, False]


def test_an_owner_is_known_by_name_where_there_is_no_id() -> None:
    assert with_both(createBy={"displayName": "Ann"}) == [True, False]


def test_names_are_compared_whole_however_long() -> None:
    first, second = ({"name": "n" * 300 + end} for end in "ab")
    assert replaced({"expiresAt": SOON, **first}, {"expiresAt": LATER, **second}) == [False, False]


def test_a_key_is_replaced_whatever_the_order_of_the_portal() -> None:
    assert replaced({"expiresAt": LATER}, {"expiresAt": SOON}) == [False, True]
