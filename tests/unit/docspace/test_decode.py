"""Decoding a response: valid keys, unusual ones, and records that cannot be read."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from docspace_exporter.docspace.body import InvalidResponseError, read_object
from docspace_exporter.docspace.decode import KeyList, read_id
from docspace_exporter.docspace.decode import decode as decode_body
from docspace_exporter.docspace.model import ApiKey
from tests.support.portals import ABSENT, RECORD, envelope, record

NEVER = math.inf


def decode(*records: Any) -> KeyList:
    return decode_body(envelope(list(records)))


def only_key(**changes: Any) -> ApiKey:
    """Return the key of a response with one valid record."""
    listed = decode(record(**changes))
    assert listed.malformed == 0
    return listed.keys[0]


def unix(year: int, month: int, day: int, *time: int) -> float:
    hour, minute, second, microsecond = (*time, *(0,) * 4)[:4]
    return datetime(year, month, day, hour, minute, second, microsecond, UTC).timestamp()


def test_a_record_becomes_a_key() -> None:
    assert only_key() == ApiKey(
        id="0b4b6e0c-4b2c-4f0e-9a57-1f8f1f3f7c11",
        name="backup job",
        postfix="9f3a",
        owner="Ann O'Neil",
        owner_id="5a1f7f0e-0000-4000-8000-000000000001",
        permissions=("files:read", "rooms:write"),
        created=unix(2026, 3, 1, 9),
        expiry=unix(2026, 11, 30, 21),
        last_used=unix(2026, 11, 22, 8, 15, 30, 123456),
        active=True,
        replaced=False,
    )


def test_keys_keep_the_order_of_the_portal() -> None:
    assert [key.id for key in decode(*(record(id=name) for name in "cab")).keys] == ["c", "a", "b"]


def test_a_portal_may_have_no_keys() -> None:
    assert decode() == KeyList((), 0)


def test_a_key_with_only_an_id_never_expires_and_is_unrestricted() -> None:
    assert decode({"id": "1"}) == KeyList((ApiKey(id="1", permissions=(), expiry=NEVER),), 0)


@pytest.mark.parametrize("field", [field for field in RECORD if field != "id"])
def test_a_null_field_is_the_same_as_an_absent_one(field: str) -> None:
    assert only_key(**{field: None}) == only_key(**{field: ABSENT})


def test_other_fields_are_ignored() -> None:
    assert only_key(key="sk-***9f3a", extra={"deep": [[1.5e300, -3, True, None, "x"]]}) == only_key()


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2026-12-01T00:00:00.0000000Z", unix(2026, 12, 1)),
        ("2026-12-01T00:00:00.0000000+03:00", unix(2026, 11, 30, 21)),
        ("2026-12-01T00:00:00.0000000-14:00", unix(2026, 12, 1, 14)),
        ("2026-12-01T00:00:00.0000000+14:00", unix(2026, 11, 30, 10)),
        ("2026-12-01T00:00:00Z", unix(2026, 12, 1)),
        ("2026-12-01T00:00:00.9999999Z", unix(2026, 12, 1) + 0.999999),
        ("9999-12-31T23:59:59.9999999Z", unix(9999, 12, 31, 23, 59, 59, 999999)),
        ("9999-12-31T23:59:59.9999999-14:00", unix(9999, 12, 31, 23, 59, 59, 999999) + 14 * 3600),
        ("0001-01-02T00:00:00.0000000Z", unix(1, 1, 2)),
        ({"utcTime": "2026-12-01T00:00:00.0000000Z", "timeZoneOffset": "03:00:00"}, unix(2026, 12, 1)),
        ({"utcTime": "2026-12-01T00:00:00.0000000", "timeZoneOffset": "03:00:00"}, unix(2026, 12, 1)),
    ],
)
def test_dates_are_read_to_the_microsecond(date: Any, expected: float) -> None:
    key = only_key(createOn=date, lastUsed=date, expiresAt=date)
    assert (key.created, key.last_used, key.expiry) == pytest.approx((expected,) * 3, abs=1e-5)


@pytest.mark.parametrize(
    "date",
    [
        "0001-01-01T00:00:00.0000000Z",
        "0001-01-01T00:00:00.0000000+03:00",
        "0001-01-01T00:00:00",
        {"utcTime": "0001-01-01T00:00:00.0000000Z", "timeZoneOffset": "00:00:00"},
    ],
)
def test_january_1st_of_year_1_means_no_date(date: Any) -> None:
    key = only_key(createOn=date, lastUsed=date, expiresAt=date)
    assert (key.created, key.last_used, key.expiry) == (None, None, NEVER)


INVALID_DATES = [
    "",
    "tomorrow",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-12-01T00:00:00.0000000",
    "2026-12-01",
    "2026-12-01T00:00:00+25:00",
    "10000-01-01T00:00:00Z",
    "2026-12-01\0T00:00:00Z",
    "٢٠٢٦-12-01T00:00:00Z",
    1_790_000_000,
    True,
    [],
    {},
    {"utcTime": None},
    {"utcTime": 5},
    {"utcTime": "tomorrow"},
]


@pytest.mark.parametrize("date", INVALID_DATES)
@pytest.mark.parametrize(
    ("field", "attribute"), [("createOn", "created"), ("lastUsed", "last_used"), ("expiresAt", "expiry")]
)
def test_an_unreadable_date_does_not_affect_other_fields(field: str, attribute: str, date: Any) -> None:
    listed = decode(record(**{field: date}))
    assert listed.malformed == 1
    assert getattr(listed.keys[0], attribute) is None
    others = {"created", "last_used", "expiry", "name"} - {attribute}
    assert all(getattr(listed.keys[0], other) == getattr(only_key(), other) for other in others)


@pytest.mark.parametrize(
    ("field", "value", "attribute", "fallback"),
    [
        ("name", 5, "name", ""),
        ("name", ["a"], "name", ""),
        ("keyPostfix", 1234, "postfix", ""),
        ("permissions", "files:read", "permissions", None),
        ("permissions", ["files:read", 5], "permissions", None),
        ("permissions", {"files": "read"}, "permissions", None),
        ("createBy", "Ann", "owner", ""),
        ("createBy", {"displayName": 5}, "owner", ""),
        ("createBy", [[[[[]]]]], "owner", ""),
        ("createBy", {"displayName": "Ann", "\ud800": 5}, "owner", ""),
        ("expiresAt", {"utcTime": "2026-12-01T00:00:00Z", "\ud800": 5}, "expiry", None),
        ("isActive", "true", "active", None),
        ("isActive", 1, "active", None),
    ],
)
def test_an_unreadable_field_does_not_affect_other_fields(
    field: str, value: Any, attribute: str, fallback: Any
) -> None:
    listed = decode(record(**{field: value}), record(id="another"))
    assert listed.malformed == 1
    key, another = listed.keys
    assert getattr(key, attribute) == fallback
    assert (key.id, key.created, another.name) == (RECORD["id"], only_key().created, "backup job")


def test_a_record_with_several_errors_counts_once() -> None:
    listed = decode(record(name=5, isActive="no", createOn="x", expiresAt=7, permissions=0))
    assert (len(listed.keys), listed.malformed) == (1, 1)


@pytest.mark.parametrize("id_", [ABSENT, None, "", 5, True, [], {}, 1.5])
def test_a_record_without_a_valid_id_is_left_out(id_: Any) -> None:
    listed = decode(record(id=id_), record(id="valid"))
    assert ([key.id for key in listed.keys], listed.malformed) == (["valid"], 1)


@pytest.mark.parametrize("invalid", [None, 5, "key", [], [[[[[]]]]], True])
def test_a_record_that_is_not_an_object_is_left_out(invalid: Any) -> None:
    listed = decode(invalid, record())
    assert (len(listed.keys), listed.malformed) == (1, 1)


def test_a_second_record_with_the_same_id_is_left_out() -> None:
    listed = decode(record(name="first"), record(name="second"), record(name=5))
    assert ([key.name for key in listed.keys], listed.malformed) == (["first"], 2)


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("Ann O&#39;Neil", "Ann O'Neil"),
        ("&lt;b&gt; &amp; &quot;Co&quot;", '<b> & "Co"'),
        ("Борис", "Борис"),
        ("a&#10;b", "a\ufffdb"),
        ("&amp;amp;", "&amp;"),
    ],
)
def test_html_entities_in_an_owner_are_decoded_once(owner: str, expected: str) -> None:
    assert only_key(createBy={"displayName": owner}).owner == expected


def test_html_entities_in_a_name_are_kept() -> None:
    assert only_key(name="a &amp; b").name == "a &amp; b"


@pytest.mark.parametrize("character", ["\0", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\x9f", "\ud800"])
def test_control_characters_and_lone_surrogates_are_replaced(character: str) -> None:
    key = only_key(
        id=f"i{character}d",
        name=f"a{character}b",
        keyPostfix=character,
        createBy={"displayName": character},
        permissions=[character],
    )
    assert (key.id, key.name, key.postfix) == ("i\ufffdd", "a\ufffdb", "\ufffd")
    assert (key.owner, key.permissions) == ("\ufffd", ("\ufffd",))


@pytest.mark.parametrize("text", ['"quoted" \\ {x="1"} # EOF', "\u202eright to left", "\u2028", "🔑", "é"])
def test_other_characters_are_kept(text: str) -> None:
    assert only_key(name=text).name == text


def test_a_surrogate_pair_is_decoded_as_one_character() -> None:
    assert decode_body(b'{"response":[{"id":"1","name":"\\ud83d\\udd11\\ud83d"}]}').keys[0].name == "🔑\ufffd"


def test_names_and_owners_are_shortened_to_200_characters() -> None:
    key = only_key(name="я" * 10_000, createBy={"displayName": "&amp;" * 10_000})
    assert (key.name, key.owner) == ("я" * 200, "&" * 200)


def test_invalid_utf8_is_replaced_and_the_response_is_still_read() -> None:
    listed = decode_body(b'{"response":[{"id":"1","name":"a\xff\xc3(b"},{"id":"2"}]}')
    assert ([key.name for key in listed.keys], listed.malformed) == (["a\ufffd\ufffd(b", ""], 0)


def test_a_byte_order_mark_is_ignored() -> None:
    assert decode_body(b"\xef\xbb\xbf" + envelope([RECORD])) == decode(RECORD)


def test_numbers_of_5000_digits_do_not_fail_the_response() -> None:
    digits = "9" * 5000
    body = f'{{"response":[{{"id":"1","name":"a","extra":{digits},"isActive":{digits}}}],"count":-{digits}}}'
    listed = decode_body(body.encode())
    assert ([key.name for key in listed.keys], listed.malformed) == (["a"], 1)


def test_a_negative_count_is_ignored() -> None:
    assert decode_body(envelope([RECORD], count=-1)) == decode(RECORD)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html><body>502 Bad Gateway</body></html>",
        envelope([RECORD])[:-10],
        envelope([RECORD]) + b"x",
        b"{}",
        envelope(None),
        envelope({}),
        envelope("keys"),
        envelope(5),
        envelope([[[[[]]]]]),
        envelope([{}]),
        envelope([None, 5, {"id": ""}]),
        b'{"response":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"response":[{"id":"1","extra":' + b'{"a":' * 1_000_000 + b"1" + b"}" * 1_000_000 + b"}]}",
        "{}".encode("utf-16"),
        b"\xff\xfe\x00",
    ],
)
def test_a_response_that_is_not_a_list_of_keys_is_rejected(body: bytes) -> None:
    with pytest.raises(InvalidResponseError) as caught:
        decode_body(body)
    assert "\n" not in str(caught.value)


def test_a_response_that_would_need_gigabytes_to_decode_is_rejected() -> None:
    for body in (
        b'{"response":[' + b"{}," * 2**20 * 2 + b"{}]}",
        b'{"response":' + b"[[],[]]," * 2**20 + b"]}",
    ):
        with pytest.raises(InvalidResponseError, match="more than 3000000 values"):
            decode_body(body)
        with pytest.raises(InvalidResponseError, match="more than 3000000 values"):
            read_object(body)


def test_an_owner_of_any_length_is_shortened() -> None:
    for name in ("&#" + "1" * 5000 + ";", "&amp;" * 100_000, "&" * 100_000):
        (key,) = decode(record(createBy={"displayName": name})).keys
        assert 0 < len(key.owner) <= 200


def test_long_permissions_are_shortened() -> None:
    (key,) = decode(record(permissions=["x" * 1000, "a\0"])).keys
    assert key.permissions == ("a\ufffd", "x" * 200)


def test_commas_and_brackets_in_names_do_not_count_as_values() -> None:
    name = 'a \\" quoted, ' + "{[," * 3000
    keys = decode(*(record(id=str(number), name=name) for number in range(400))).keys
    assert len(keys) == 400
    assert keys[0].name == name[:200]


@pytest.mark.parametrize("first", [b"{}", rb'{"id":"\ud800"}'])
def test_a_response_with_more_records_than_a_portal_can_have_is_rejected(first: bytes) -> None:
    with pytest.raises(InvalidResponseError, match="more than 200000 records"):
        decode_body(b'{"response":[' + first + b',{"id":"1"}' * 200_000 + b"]}")


@pytest.mark.parametrize(
    ("permissions", "access"),
    [
        ([], "full"),
        (["*"], "full"),
        (["files:read", "*"], "full"),
        (None, "full"),
        (ABSENT, "full"),
        (["*:read"], "scoped"),
        ("x", "unknown"),
    ],
)
def test_access_is_derived_from_permissions(permissions: Any, access: str) -> None:
    assert decode(record(permissions=permissions)).keys[0].access == access


def test_the_object_in_any_other_response_is_returned() -> None:
    assert read_object(envelope({"isAdmin": True, "id": "\ud800"})) == {
        "isAdmin": True,
        "id": "\ud800",
    }


@pytest.mark.parametrize("body", [b"", b"[]", envelope(None), envelope([]), b"<html>"])
def test_any_other_response_without_an_object_is_rejected(body: bytes) -> None:
    with pytest.raises(InvalidResponseError):
        read_object(body)


@pytest.mark.parametrize(
    ("own", "expected"), [({"id": "1\ud800"}, "1\ufffd"), ({"id": ""}, None), ({"id": 5}, None), ({}, None)]
)
def test_the_id_of_the_exporters_own_key_is_read_like_any_other(
    own: dict[str, Any], expected: str | None
) -> None:
    assert read_id(own) == expected


def test_both_decoders_return_the_same_keys() -> None:
    records = [record(id=str(day), expiresAt=f"2026-12-{day:02}T00:00:00.0000000Z") for day in range(1, 29)]
    fast = decode_body(envelope(records))
    assert fast.keys[-1].expiry == unix(2026, 12, 28)
    assert fast == decode_body(envelope(records, surrogate="\ud800"))


def test_a_key_that_may_write_everything_has_full_access() -> None:
    assert only_key(permissions=["*:write"]).access == "full"
    assert only_key(permissions=["files:read", "*:write"]).access == "full"
    assert only_key(permissions=["*:read"]).access == "scoped"
    assert only_key(permissions=["*:write"]).permissions == ("*:write",)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ()),
        ({"expiresAt": "soon"}, ("expiresAt",)),
        ({"expiresAt": 5}, ("expiresAt",)),
        ({"createOn": "x", "lastUsed": "y"}, ("createOn", "lastUsed")),
        ({"permissions": {}, "name": 5}, ("name", "permissions")),
        ({"name": "\ud800"}, ()),
        ({"createBy": "Ann"}, ("createBy",)),
    ],
)
def test_a_key_lists_its_unreadable_fields(changes: dict[str, Any], expected: tuple[str, ...]) -> None:
    (key,) = decode(record(**changes)).keys
    assert key.malformed == expected


def test_the_id_of_an_owner_is_lowercase() -> None:
    assert only_key(createBy={"id": "5A1F"}).owner_id == "5a1f"
    assert only_key(createBy={"id": 5}).owner_id == ""
    assert only_key(createBy=ABSENT).owner_id == ""
