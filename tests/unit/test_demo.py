"""The demo portal behaves as DocSpace does, so that a client that works with it works with a real portal."""

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
MEMBERS = "/api/2.0/people/filter"


def get(portal: DemoPortal, path: str = "/api/2.0/keys", authorization: str = "") -> requests.Response:
    headers = {"Authorization": authorization} if authorization else {}
    return requests.get(portal.url + path, headers=headers, timeout=10)


def key_of(user: User | None = None, **fields: Any) -> DemoKey:
    owner = user or User("Ann O'Neil", is_admin=True)
    return DemoKey(**{"name": "a key", "owner": owner, "created": NOW, **fields})


def test_only_an_api_key_as_bearer_token_is_accepted(demo_portal: DemoPortal) -> None:
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
    assert list(statuses.values()) == [200, 401, 401, 401, 401, 401, 401]


@pytest.mark.parametrize(
    "fields",
    [
        {"active": False},
        {"expires": NOW - timedelta(seconds=1)},
        {"user": User("Disabled", is_disabled=True)},
        {"user": User("profile removed", id=demo.sample_keys(NOW)[10].owner.id)},
    ],
    ids=["disabled", "expired", "owner disabled", "owner removed"],
)
def test_a_key_that_cannot_be_used_is_rejected_with_an_empty_body(fields: dict[str, Any]) -> None:
    key = key_of(**fields)
    with DemoPortal([key]) as portal:
        response = get(portal, authorization=f"Bearer {key.secret}")
    assert (response.status_code, response.content) == (401, b"")
    assert "Content-Type" not in response.headers
    assert (key.last_used is not None) is key.valid()


@pytest.mark.parametrize(
    ("permissions", "guest", "statuses"),
    [
        ((), False, [200, 200, 200, 200]),
        (("*:read",), False, [200, 200, 200, 200]),
        (("*:write",), False, [200, 200, 200, 200]),
        (("files:read",), False, [403, 200, 403, 403]),
        (("accounts.self:read",), False, [403, 200, 200, 403]),
        ((), True, [200, 200, 200, 200]),
    ],
)
def test_scopes_allow_the_same_requests_as_on_the_server(
    permissions: tuple[str, ...], guest: bool, statuses: list[int]
) -> None:
    key = key_of(User("Guest", is_guest=guest), permissions=permissions)
    paths = ("/api/2.0/keys", "/api/2.0/keys/@self", "/api/2.0/people/@self", "/api/2.0/keys/permissions")
    with DemoPortal([key]) as portal:
        responses = [get(portal, path, f"Bearer {key.secret}") for path in paths]
    assert [response.status_code for response in responses] == statuses
    assert {response.content for response in responses if response.status_code == 403} <= {b""}


def test_a_response_looks_like_one_of_the_server() -> None:
    moscow = timezone(timedelta(hours=3))
    key = key_of(
        permissions=READ, created=datetime(2026, 3, 1, 9, tzinfo=moscow), secret="sk-" + "0" * 60 + "9f3a"
    )
    never = key_of(key.owner, id="2")
    with DemoPortal([key, never]) as portal:
        response = get(portal, authorization=f"Bearer {key.secret}")
    document = response.json()
    first, second = document.pop("response")
    assert document == {
        "count": 1,
        "links": [{"href": portal.url + "/api/2.0/keys", "action": "GET"}],
        "status": 0,
        "statusCode": 200,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.0000000Z", first.pop("lastUsed"))
    creator = first.pop("createBy")
    assert first == {
        "id": key.id,
        "name": "a key",
        "key": "sk-***9f3a",
        "keyPostfix": "9f3a",
        "permissions": ["*:read"],
        "createOn": "2026-03-01T09:00:00.0000000+03:00",
        "isActive": True,
    }
    assert (creator["id"], creator["displayName"]) == (key.owner.id, "Ann O&#39;Neil")
    assert creator["profileUrl"].startswith(f"{portal.url}/accounts/people/filter?search={key.owner.id}%40")
    assert sum(name.startswith("avatar") for name in creator) == 5
    assert {"lastUsed", "expiresAt"}.isdisjoint(second)
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert not [name for name in response.headers if name.startswith("X-RateLimit")]
    assert key.secret not in response.text


def test_the_fields_parameter_selects_the_fields_of_a_response() -> None:
    key = key_of()
    with DemoPortal([key]) as portal:
        response = get(portal, "/api/2.0/keys?fields=id,name", f"Bearer {key.secret}")
    assert response.json()["response"] == [{"id": key.id, "name": "a key"}]


def test_members_are_listed_by_status_in_pages() -> None:
    key = key_of()
    disabled = [User(f"Member {number}", is_disabled=True, id=f"{number:03}") for number in range(150)]
    with DemoPortal([key], members=disabled) as portal:
        pages = [
            get(portal, f"{MEMBERS}?employeeStatus=2&startIndex={start}", f"Bearer {key.secret}").json()
            for start in (0, 100, 200)
        ]
        active = get(portal, f"{MEMBERS}?employeeStatus=1&fields=id", f"Bearer {key.secret}").json()
    listed = [[member["id"] for member in page["response"]] for page in pages]
    assert [*listed[0], *listed[1], *listed[2]] == [user.id for user in disabled]
    assert [(page["count"], page["total"]) for page in pages] == [(100, 150), (50, 150), (0, 150)]
    assert active["response"] == [{"id": key.owner.id}]


def test_at_most_100_members_can_be_requested_at_once() -> None:
    key = key_of()
    with DemoPortal([key]) as portal:
        assert get(portal, f"{MEMBERS}?count=101", f"Bearer {key.secret}").status_code == 400


def test_only_admins_can_list_members() -> None:
    key = key_of(User("Member"))
    with DemoPortal([key]) as portal:
        response = get(portal, MEMBERS, f"Bearer {key.secret}")
    assert response.status_code == 403
    assert response.json() == {"status": 1, "statusCode": 403, "error": {"message": "Access denied"}}


@pytest.mark.parametrize("status", [402, 404])
def test_an_unpaid_or_suspended_portal_sends_problem_details(demo_portal: DemoPortal, status: int) -> None:
    demo_portal.refusal = status
    response = get(demo_portal, authorization=f"Bearer {demo_portal.keys[-1].secret}")
    assert response.status_code == response.json()["status"] == status
    assert response.headers["Content-Type"] == "application/problem+json"


def test_other_paths_are_not_found(demo_portal: DemoPortal) -> None:
    assert get(demo_portal, "/api/2.0/other", f"Bearer {demo_portal.keys[-1].secret}").status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_demo_portal_is_read_only(demo_portal: DemoPortal, method: str) -> None:
    response = requests.request(method, demo_portal.url + "/api/2.0/keys", json={"name": "new"}, timeout=10)
    assert (response.status_code, response.headers["Allow"]) == (405, "GET")


def test_the_page_where_users_rotate_keys_is_html(demo_portal: DemoPortal) -> None:
    response = get(demo_portal, "/developer-tools/api-keys")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html")


def test_requests_are_limited_per_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "REQUESTS_PER_MINUTE", 2)
    ann, bob = key_of(), key_of()
    with DemoPortal([ann, bob]) as portal:
        responses = [get(portal, authorization=f"Bearer {ann.secret}") for _ in range(3)]
        assert get(portal, authorization=f"Bearer {bob.secret}").status_code == 200
    assert [response.status_code for response in responses] == [200, 200, 429]
    limited = responses[2]
    assert (limited.content, limited.headers["X-RateLimit-Limit"]) == (b"", "2")
    assert limited.headers["X-RateLimit-Remaining"] == "0"
    assert "Retry-After" not in limited.headers


def test_the_rate_limit_ends_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "REQUESTS_PER_MINUTE", 1)
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    key, allowed = key_of(), {}
    with DemoPortal([key]) as portal:
        for clock[0] in (100.0, 110.0, 160.0):
            allowed[clock[0]] = portal.take_turn(key)
        monkeypatch.undo()
    assert allowed == {100.0: True, 110.0: False, 160.0: True}


def test_using_a_key_updates_its_last_use(demo_portal: DemoPortal) -> None:
    own, other = demo_portal.keys[-1], demo_portal.keys[1]
    before = other.last_used
    get(demo_portal, authorization=f"Bearer {own.secret}")
    assert own.last_used is not None
    assert datetime.now(UTC) - own.last_used < timedelta(seconds=30)
    assert other.last_used == before


def test_the_sample_keys_cover_every_state(demo_portal: DemoPortal) -> None:
    own = demo_portal.keys[-1]
    snapshot = poll(portal_at(demo_portal.url, api_key=own.secret), None)
    now = snapshot.received

    def days(key: ApiKey) -> float:
        assert key.expiry is not None
        return (key.expiry - now) / 86400

    def unused(key: ApiKey) -> float:
        return float("inf") if key.last_used is None else (now - key.last_used) / 86400

    keys = [key for key in snapshot.keys if key.id != own.id]
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
    blocked = [key for key in keys if snapshot.owner_active(key) is False]
    assert {key.owner_removed for key in blocked} == {True, False}
    assert all(key.active and days(key) > 0 and unused(key) < 7 for key in blocked)
    assert snapshot.identity.own_key_id == own.id


def test_the_demo_has_the_same_ids_at_every_start() -> None:
    first, second = sample_keys(NOW), sample_keys(NOW + timedelta(days=1))
    assert [(key.id, key.owner.id) for key in first] == [(key.id, key.owner.id) for key in second]
