"""A key is replaced if its owner has an active key with the same name that expires later, or never."""

from typing import Any

import pytest

from docspace_exporter.docspace import decode
from tests.support.portals import ABSENT, envelope, record

SOON = "2026-12-01T00:00:00Z"
LATER = "2027-12-01T00:00:00Z"


def replaced(first: dict[str, Any], second: dict[str, Any]) -> list[bool]:
    """Return whether each of two keys is replaced; each is a record with changes."""
    records = [record(id=id_, **changes) for id_, changes in (("1", first), ("2", second))]
    return [key.replaced for key in decode.decode(envelope(records)).keys]


def replaced_with(**fields: Any) -> list[bool]:
    """Return the same for two keys with these fields, one of which expires soon and the other later."""
    return replaced({"expiresAt": SOON, **fields}, {"expiresAt": LATER, **fields})


def test_a_key_is_replaced_by_one_that_expires_later() -> None:
    assert replaced_with() == [True, False]


def test_a_key_is_replaced_by_one_that_never_expires() -> None:
    assert replaced({"expiresAt": ABSENT}, {"expiresAt": SOON}) == [False, True]


def test_a_disabled_key_can_be_replaced() -> None:
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
def test_a_key_is_not_replaced_by_a_key_that_differs_or_is_disabled(other: dict[str, Any]) -> None:
    assert replaced({"expiresAt": SOON}, {"expiresAt": LATER, **other}) == [False, False]


def test_a_key_whose_expiry_cannot_be_read_is_not_replaced() -> None:
    assert replaced({"expiresAt": "someday"}, {"expiresAt": LATER}) == [False, False]


def test_keys_that_never_expire_do_not_replace_each_other() -> None:
    assert replaced({"expiresAt": ABSENT}, {"expiresAt": ABSENT}) == [False, False]


@pytest.mark.parametrize("fields", [{"name": ""}, {"createBy": ABSENT}, {"createBy": {"displayName": ""}}])
def test_keys_without_a_name_or_an_owner_do_not_replace_each_other(fields: dict[str, Any]) -> None:
    assert replaced_with(**fields) == [False, False]


def test_an_owner_is_identified_by_id_even_after_being_renamed() -> None:
    before, after = ({"createBy": {"id": "5a1f", "displayName": name}} for name in ("Ann O", "Ann N"))
    assert replaced({"expiresAt": SOON, **before}, {"expiresAt": LATER, **after}) == [True, False]


def test_an_owner_without_an_id_is_identified_by_name() -> None:
    assert replaced_with(createBy={"displayName": "Ann"}) == [True, False]


def test_names_are_compared_in_full_however_long_they_are() -> None:
    first, second = ({"name": "n" * 300 + end} for end in "ab")
    assert replaced({"expiresAt": SOON, **first}, {"expiresAt": LATER, **second}) == [False, False]


def test_the_order_of_keys_does_not_matter() -> None:
    assert replaced({"expiresAt": LATER}, {"expiresAt": SOON}) == [False, True]
