"""One poll: the requests it sends, and the errors it reports."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from docspace_exporter.demo import DemoPortal
from docspace_exporter.docspace import client
from docspace_exporter.docspace.failures import PollError, Reason
from tests.support.faulty_portal import Behaviour, FaultyPortal, respond
from tests.support.portals import SECRET, failure_at, portal_at


def failure_of(behave: Behaviour) -> PollError:
    with FaultyPortal(behave) as portal:
        return failure_at(portal_at(portal.url))


def test_all_keys_of_a_portal_are_read(demo_portal: DemoPortal) -> None:
    own = demo_portal.keys[-1]
    snapshot = client.poll(portal_at(demo_portal.url, api_key=own.secret), None, lambda: 1_790_000_000.0)
    assert snapshot.malformed == 0
    assert snapshot.received == 1_790_000_000.0
    for key, created in zip(snapshot.keys, demo_portal.keys, strict=True):
        expiry = created.expires.timestamp() if created.expires else float("inf")
        last_used = (
            created.last_used.timestamp() if created.last_used and created is not own else key.last_used
        )
        assert (key.id, key.name, key.postfix) == (created.id, created.name, created.secret[-4:])
        assert (key.owner, key.permissions) == (
            created.owner.display_name,
            tuple(sorted(created.permissions)),
        )
        assert (key.expiry, key.created) == pytest.approx((expiry, created.created.timestamp()), abs=1)
        assert key.active is created.active
        assert key.last_used == pytest.approx(last_used, abs=1)


def test_a_request_sends_the_key_as_bearer_token_and_reveals_nothing_about_the_machine() -> None:
    with FaultyPortal(respond()) as portal:
        client.poll(portal_at(portal.url), None)
    first, *headers = portal.requests[0].split("\r\n")
    names = {header.partition(":")[0] for header in headers if header}
    assert first == "GET /api/2.0/keys HTTP/1.1"
    assert f"Authorization: Bearer {SECRET}" in headers
    assert names == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection", "Authorization"}


def test_a_netrc_file_does_not_override_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login somebody password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    with FaultyPortal(respond()) as portal:
        client.poll(portal_at(portal.url), None)
    assert all(f"Authorization: Bearer {SECRET}\r\n" in request for request in portal.requests)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_reported_and_not_followed(status: int) -> None:
    with FaultyPortal(respond()) as elsewhere:
        failure = failure_of(respond(status, Location=elsewhere.url + "/api/2.0/keys"))
    assert failure.reason is Reason.REDIRECT
    assert f"to {elsewhere.url}: set url to that" in failure.message
    assert elsewhere.requests == []


def test_an_error_about_a_key_file_is_one_line_whatever_its_name(tmp_path: Path) -> None:
    portal = portal_at("https://acme.example", api_key=None, api_key_file=tmp_path / "two\nlines\udcff")
    assert failure_at(portal).message.endswith("two\ufffdlines\ufffd: No such file or directory")


def test_a_redirect_within_the_portal_is_reported_without_its_target() -> None:
    with FaultyPortal(respond()) as portal:
        portal.behave = respond(302, Location=portal.url.upper() + "/login")
        message = failure_at(portal_at(portal.url)).message
    assert message == "status 302, the portal redirects; the key is sent to the configured url only"


@pytest.mark.parametrize(
    "location",
    [
        "/login",
        "https://user:password@acme.example/",
        "https://acme.example\u202e/",
        f"https://{'a' * 200}.example/",
        "javascript:alert(1)",
        "https://[",
    ],
)
def test_only_a_plain_origin_is_quoted_as_the_target_of_a_redirect(location: str) -> None:
    message = failure_of(respond(302, Location=location.encode().decode("latin-1"))).message
    assert message == "status 302, the portal redirects; the key is sent to the configured url only"


@pytest.mark.parametrize(
    ("status", "retry_after", "expected"),
    [
        (429, "7", 7),
        (503, " 120 ", 120),
        (503, "0", 0),
        (429, "3601", 3600),
        (429, "9" * 30, 3600),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        (429, "Tue, 24 Nov 2020 00:00:00 GMT", 0),
        (429, "Tue, 24 Nov 99999 00:00:00 GMT", None),
        (429, "9" * 5000, None),
        (429, "-5", None),
        (429, "1.5", None),
        (429, "soon", None),
        (429, "", None),
        (429, "\u0663".encode().decode("latin-1"), None),
        (500, "7", None),
        (401, "7", None),
    ],
)
def test_retry_after_is_respected_up_to_an_hour(
    status: int, retry_after: str, expected: float | None
) -> None:
    assert failure_of(respond(status, Retry_After=retry_after)).retry_after == expected


def test_retry_after_may_be_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(minutes=10)
    assert failure_of(respond(503, Retry_After=format_datetime(soon))).retry_after == pytest.approx(
        600, abs=60
    )


def test_without_retry_after_the_schedule_does_not_change() -> None:
    assert failure_of(respond(429)).retry_after is None


def test_a_key_that_cannot_be_read_is_reported_without_a_request(tmp_path: Path) -> None:
    with FaultyPortal(respond()) as portal:
        failure = failure_at(portal_at(portal.url, api_key=None, api_key_file=tmp_path / "key"))
    assert failure.reason is Reason.CREDENTIALS
    assert failure.message == f"cannot read {tmp_path / 'key'}: No such file or directory"
    assert portal.requests == []


def test_a_key_file_is_read_at_each_poll(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with FaultyPortal(respond()) as portal:
        for key in ("sk-old", "  sk-new\r\n"):
            file.write_text(key)
            client.poll(portal_at(portal.url, api_key=None, api_key_file=file), None)
            assert f"Authorization: Bearer {key.strip()}\r\n" in portal.requests[-1]


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("nobody.invalid", "the host name cannot be resolved: check url and DNS"),
        ("a..b", "the connection failed: check url and the network"),
    ],
)
def test_a_host_name_that_cannot_be_resolved_is_reported(host: str, message: str) -> None:
    failure = failure_at(portal_at(f"https://{host}"))
    assert (failure.reason, failure.message) == (Reason.CONNECTION, message)
