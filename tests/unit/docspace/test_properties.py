"""Whatever a portal sends: nothing crashes, every record is exported or counted, the exposition is valid."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docspace_exporter import poller
from docspace_exporter.docspace import decode
from docspace_exporter.docspace.body import InvalidResponseError, read_object
from docspace_exporter.docspace.decode import TEXT_LIMIT
from docspace_exporter.formats import Format
from docspace_exporter.poller import PortalState
from tests.support.faulty_portal import FaultyPortal, respond
from tests.support.json_strategies import HUGE, JSON, RECORDS, TEXTS, encode, exposed
from tests.support.portals import portal_at, record
from tests.support.samples import samples, values


def readable(record: Any) -> bool:
    id_ = record.get("id") if isinstance(record, dict) else None
    return isinstance(id_, str) and id_ not in {"", HUGE}


@given(records=st.lists(RECORDS, max_size=6), escaped=st.booleans(), format_=st.sampled_from(Format))
def test_every_record_is_exported_or_counted(records: list[Any], escaped: bool, format_: Format) -> None:
    try:
        listed = decode.decode(encode({"response": records, "count": -1}, escaped=escaped))
    except InvalidResponseError:
        assert records
        assert not any(readable(record) for record in records)
        return
    left_out = len(records) - len(listed.keys)
    assert left_out <= listed.malformed <= len(records)
    assert sum(not readable(record) for record in records) <= left_out
    found = samples(exposed(listed, format_))
    assert len(values(found, "docspace_api_key_info", "id")) == len(listed.keys)
    assert values(found, "docspace_api_keys") == {(): len(listed.keys)}
    assert values(found, "docspace_api_keys_malformed") == {(): listed.malformed}


@given(name=TEXTS, owner=TEXTS)
def test_every_name_is_exported_shortened_and_without_control_characters(name: str, owner: str) -> None:
    body = encode({"response": [record(name=name, createBy={"displayName": owner.replace("&", "&amp;")})]})
    labels = values(
        samples(exposed(decode.decode(body), Format.TEXT)), "docspace_api_key_info", "name", "owner"
    )
    ((shown_name, shown_owner),) = labels
    for text, shown in ((name, shown_name), (owner, shown_owner)):
        assert len(shown) == min(len(text), TEXT_LIMIT)
        assert all(after in (before, "\ufffd") for before, after in zip(text, shown, strict=False))
        assert all(character.isprintable() or ord(character) > 0x9F for character in shown)


@given(
    moment=st.datetimes().filter(lambda moment: moment.year > 1),
    offset=st.integers(-14 * 60, 14 * 60),
    digit=st.integers(0, 9),
)
def test_every_date_is_read_to_the_microsecond(moment: datetime, offset: int, digit: int) -> None:
    zone = timezone(timedelta(minutes=offset))
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    text = f"{moment.isoformat(timespec='microseconds')}{digit}{sign}{minutes // 60:02}:{minutes % 60:02}"
    (key,) = decode.decode(encode({"response": [record(createOn=text)]})).keys
    expected = (moment.replace(tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    assert key.created == pytest.approx(expected, abs=1e-4)


def rejection(read: Callable[[bytes], object], body: bytes) -> str:
    """Return why a response is rejected; empty if it is accepted."""
    try:
        read(body)
    except InvalidResponseError as error:
        return str(error)
    return ""


@given(value=JSON, escaped=st.booleans())
def test_any_json_is_accepted_or_rejected_with_a_reason(value: Any, escaped: bool) -> None:
    for body in (encode(value, escaped=escaped), encode({"response": value}, escaped=escaped)):
        assert rejection(decode.decode, body).isprintable()
        assert rejection(read_object, body).isprintable()


@given(body=st.binary(max_size=200) | st.integers(1, 3000).map(lambda depth: b'{"response":' + b"[" * depth))
def test_arbitrary_bytes_are_rejected(body: bytes) -> None:
    assert rejection(decode.decode, body)
    assert rejection(read_object, body)


@settings(max_examples=max(20, settings().max_examples // 20))
@given(response=JSON | st.lists(RECORDS, max_size=3), key=JSON, user=JSON)
def test_a_poll_handles_any_response(response: Any, key: Any, user: Any) -> None:
    bodies = [encode({"response": value}) for value in (response, key, user)]

    def behave(connection: Any, request: str) -> None:
        path = request.split(" ")[1]
        number = 0 if path.endswith("/keys") else 1 if "keys" in path else 2
        respond(body=bodies[number])(connection, request)

    with FaultyPortal(behave) as portal:
        state = poller.poll(PortalState(portal_at(portal.url)))
    assert state.up or (state.failure is not None and state.failure.reason == "invalid_response")
    assert state.failure is None or "please report" not in state.failure.message
