"""The demo portal behaves as DocSpace does, so that what works with it works with the real one."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from docspace_exporter import demo
from docspace_exporter.demo import DemoKey, DemoPortal, User, sample_keys
from docspace_exporter.docspace.client import poll
from docspace_exporter.docspace.model import ApiKey
from tests.support.portals import portal_at

NOW = datetime.now(UTC)
READ = ("*:read",)


def get(portal: DemoPortal, path: str = "/api/2.0/keys", authorization: str = "") -> requests.Response:
    headers = {"Authorization": authorization} if authorization else {}
    return requests.get(portal.url + path, headers=headers, timeout=10)


def key_of(user: User | None = None, **fields: Any) -> DemoKey:
    return DemoKey(
        **{"name": "a key", "owner": user or User("Ann O'Neil", is_admin=True), "created": NOW, **fields}
    )


def test_only_a_bearer_key_is_let_in(demo_portal: DemoPortal) -> None:
    secret = demo_portal.keys[-1].secret
    statuses = {
        authorization: get(demo_portal, authorization=authorization).status_code
        for authorization in (
            f"Bearer {secret}",
            f"bearer {secret}",
            secret,
            f"Basic {secret}",
            "Bearer sk-0",
            "Bearer",
            "",
        )
    }
    assert list(statuses.values()) == [200, 200, 401, 401, 401, 401, 401]


@pytest.mark.parametrize("fields", [{"active": False}, {"expires": NOW - timedelta(seconds=1)}])
def test_a_key_that_is_off_or_expired_is_refused(fields: dict[str, Any]) -> None:
    key = key_of(**fields)
    with DemoPortal([key]) as portal:
        assert get(portal, authorization=f"Bearer {key.secret}").status_code == 401


@pytest.mark.parametrize(
    ("permissions", "guest", "statuses"),
    [
        ((), False, [200, 200, 200]),
        (("*:read",), False, [200, 200, 200]),
        (("*:write",), False, [200, 200, 200]),
        (("files:read",), False, [403, 200, 403]),
        (("accounts.self:read",), False, [403, 200, 200]),
        ((), True, [403, 200, 200]),
    ],
)
def test_scopes_and_guests(permissions: tuple[str, ...], guest: bool, statuses: list[int]) -> None:
    key = key_of(User("Guest", is_guest=guest), permissions=permissions)
    paths = ("/api/2.0/keys", "/api/2.0/keys/@self", "/api/2.0/people/@self")
    with DemoPortal([key]) as portal:
        assert [get(portal, path, f"Bearer {key.secret}").status_code for path in paths] == statuses


def test_an_answer_stands_as_on_the_wire() -> None:
    moscow = timezone(timedelta(hours=3))
    key = key_of(
        permissions=READ, created=datetime(2026, 3, 1, 9, tzinfo=moscow), secret="sk-" + "0" * 60 + "9f3a"
    )
    never = key_of(key.owner, id="2")
    with DemoPortal([key, never]) as portal:
        answer = get(portal, authorization=f"Bearer {key.secret}")
    document = answer.json()
    first, second = document.pop("response")
    assert document == {
        "count": 2,
        "links": [{"href": portal.url + "/api/2.0/keys", "action": "GET"}],
        "status": 0,
        "statusCode": 200,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", first.pop("lastUsed"))
    assert first == {
        "id": key.id,
        "name": "a key",
        "key": "sk-***9f3a",
        "keyPostfix": "9f3a",
        "permissions": ["*:read"],
        "createOn": "2026-03-01T09:00:00.0000000+03:00",
        "createBy": {
            "id": key.owner.id,
            "displayName": "Ann O&#39;Neil",
            "avatar": "/static/images/default_user_photo_size_48-48.png",
            "profileUrl": "/accounts/people/filter?search=Ann%20O%27Neil",
        },
        "isActive": True,
    }
    assert {"lastUsed", "expiresAt"}.isdisjoint(second)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert key.secret not in answer.text


def test_other_paths_are_not_found_and_errors_stand_as_on_the_wire(demo_portal: DemoPortal) -> None:
    answer = get(demo_portal, "/api/2.0/other", f"Bearer {demo_portal.keys[-1].secret}")
    assert answer.status_code == 404
    assert answer.json() == {"status": 1, "statusCode": 404, "error": {"message": "Not found"}}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_demo_can_only_be_read(demo_portal: DemoPortal, method: str) -> None:
    answer = requests.request(method, demo_portal.url + "/api/2.0/keys", json={"name": "new"}, timeout=10)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


def test_the_page_where_a_key_is_rotated_is_for_persons(demo_portal: DemoPortal) -> None:
    answer = get(demo_portal, "/developer-tools/api-keys")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html")


def test_requests_of_a_user_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "REQUESTS_PER_MINUTE", 2)
    ann, bob = key_of(), key_of()
    with DemoPortal([ann, bob]) as portal:
        answers = [get(portal, authorization=f"Bearer {ann.secret}") for _ in range(3)]
        assert get(portal, authorization=f"Bearer {bob.secret}").status_code == 200
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers.get("X-RateLimit-Remaining") for answer in answers] == ["1", "0", None]
    assert answers[0].headers["X-RateLimit-Limit"] == "2"
    assert 0 < int(answers[2].headers["Retry-After"]) <= 60


def test_a_limit_is_over_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "REQUESTS_PER_MINUTE", 1)
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    key, turns = key_of(), {}
    with DemoPortal([key]) as portal:
        for clock[0] in (100.0, 110.0, 160.0):
            turns[clock[0]] = portal.take_turn(key)
        monkeypatch.undo()
    assert turns == {100.0: (0, 60), 110.0: (-1, 50), 160.0: (0, 60)}


def test_using_a_key_sets_its_last_use(demo_portal: DemoPortal) -> None:
    own, other = demo_portal.keys[-1], demo_portal.keys[1]
    before = other.last_used
    get(demo_portal, authorization=f"Bearer {own.secret}")
    assert own.last_used is not None
    assert datetime.now(UTC) - own.last_used < timedelta(seconds=30)
    assert other.last_used == before


def test_the_keys_of_the_demo_tell_a_story_each(demo_portal: DemoPortal) -> None:
    own = demo_portal.keys[-1]
    answer = poll(portal_at(demo_portal.url, api_key=own.secret), None)
    now = answer.received

    def days(key: ApiKey) -> float:
        assert key.expiry is not None
        return (key.expiry - now) / 86400

    def unused(key: ApiKey) -> float:
        return float("inf") if key.last_used is None else (now - key.last_used) / 86400

    keys = [key for key in answer.keys if key.id != own.id]
    for expected in (2, 10, 40, 365):
        assert [key for key in keys if key.active and days(key) == pytest.approx(expected, abs=0.1)]
    assert [
        key for key in keys if -1.1 < days(key) < -0.9 and unused(key) + days(key) < 0.1 and not key.replaced
    ]
    assert [key for key in keys if days(key) < 0 and key.replaced]
    assert [key for key in keys if days(key) == float("inf")]
    assert [key for key in keys if key.last_used is None]
    assert [key for key in keys if key.active and 119 < unused(key) < 121]
    assert [key for key in keys if not key.active and days(key) > 0]
    assert [key for key in keys if key.access == "full"]
    assert [key for key in keys if '"' in key.name and "<b>" in key.name and not key.name.isascii()]
    assert answer.identity.own_key_id == own.id


def test_the_demo_has_the_same_ids_at_every_start() -> None:
    assert [key.id for key in sample_keys(NOW)] == [key.id for key in sample_keys(NOW + timedelta(days=1))]
