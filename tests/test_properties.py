"""Whatever a portal sends: never a crash, every record exported or counted, every exposition readable."""

import json
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from faulty_portal import FaultyPortal, answer
from hypothesis import given, settings
from hypothesis import strategies as st
from portals import RECORD, answered, portal_at, record
from prometheus_client import CollectorRegistry
from samples import samples, values

from docspace_exporter import api_keys, poller
from docspace_exporter.api_keys import TEXT_LIMIT, InvalidAnswerError, KeyList
from docspace_exporter.exposition import Exposition, Format
from docspace_exporter.metrics import ExporterState
from docspace_exporter.poller import PortalState

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
    """Return the exposition of what an answer brought."""
    exposition = Exposition(ExporterState("1", "2"), CollectorRegistry())
    state = answered(*listed.keys, malformed=listed.malformed)
    exposition.show(ExporterState("1", "2"), lambda: [state], ())
    return exposition.render(format_, gzip=False).decode()


def readable(record: Any) -> bool:
    id_ = record.get("id") if isinstance(record, dict) else None
    return isinstance(id_, str) and id_ not in {"", HUGE}


@given(records=st.lists(RECORDS, max_size=6), escaped=st.booleans(), format_=st.sampled_from(Format))
def test_every_record_is_exported_or_counted(records: list[Any], escaped: bool, format_: Format) -> None:
    try:
        listed = api_keys.decode(encode({"response": records, "count": -1}, escaped=escaped))
    except InvalidAnswerError:
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
def test_every_name_reaches_prometheus_shortened_and_cleaned(name: str, owner: str) -> None:
    body = encode({"response": [record(name=name, createBy={"displayName": owner.replace("&", "&amp;")})]})
    labels = values(
        samples(exposed(api_keys.decode(body), Format.TEXT)), "docspace_api_key_info", "name", "owner"
    )
    ((shown_name, shown_owner),) = labels
    for text, shown in ((name, shown_name), (owner, shown_owner)):
        assert len(shown) == min(len(text), TEXT_LIMIT)
        assert all(after in (before, "\ufffd") for before, after in zip(text, shown, strict=False))
        assert all(sign.isprintable() or ord(sign) > 0x9F for sign in shown)


@given(
    moment=st.datetimes().filter(lambda moment: moment.year > 1),
    offset=st.integers(-14 * 60, 14 * 60),
    digit=st.integers(0, 9),
)
def test_every_moment_is_read_to_the_microsecond(moment: datetime, offset: int, digit: int) -> None:
    zone = timezone(timedelta(minutes=offset))
    sign, minutes = "-" if offset < 0 else "+", abs(offset)
    text = f"{moment.isoformat(timespec='microseconds')}{digit}{sign}{minutes // 60:02}:{minutes % 60:02}"
    (key,) = api_keys.decode(encode({"response": [record(createOn=text)]})).keys
    expected = (moment.replace(tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    assert key.created == pytest.approx(expected, abs=1e-4)


def refusal(read: Callable[[bytes], object], body: bytes) -> str:
    """Return why an answer is refused; empty where it is not."""
    try:
        read(body)
    except InvalidAnswerError as error:
        return str(error)
    return ""


@given(value=JSON, escaped=st.booleans())
def test_any_json_is_an_answer_or_refused(value: Any, escaped: bool) -> None:
    for body in (encode(value, escaped=escaped), encode({"response": value}, escaped=escaped)):
        assert refusal(api_keys.decode, body).isprintable()
        assert refusal(api_keys.decode_object, body).isprintable()


@given(body=st.binary(max_size=200) | st.integers(1, 3000).map(lambda depth: b'{"response":' + b"[" * depth))
def test_any_bytes_are_refused(body: bytes) -> None:
    assert refusal(api_keys.decode, body)
    assert refusal(api_keys.decode_object, body)


@pytest.mark.tools
@settings(max_examples=max(10, settings().max_examples // 100))
@given(records=st.lists(RECORDS, min_size=5, max_size=30))
def test_promtool_has_nothing_to_say(records: list[Any]) -> None:
    text = exposed(api_keys.decode(encode({"response": [RECORD, *records]})), Format.TEXT)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text.encode(), capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@settings(max_examples=max(20, settings().max_examples // 20))
@given(response=JSON | st.lists(RECORDS, max_size=3), key=JSON, user=JSON)
def test_a_poll_takes_whatever_a_portal_answers(response: Any, key: Any, user: Any) -> None:
    bodies = [encode({"response": value}) for value in (response, key, user)]

    def behave(connection: Any, head: str) -> None:
        path = head.split(" ")[1]
        number = 0 if path.endswith("/keys") else 1 if "keys" in path else 2
        answer(body=bodies[number])(connection, head)

    with FaultyPortal(behave) as portal:
        state = poller.poll(PortalState(portal_at(portal.url)))
    assert state.up or (state.failure is not None and state.failure.reason == "invalid_response")
    assert state.failure is None or "please report" not in state.failure.message
