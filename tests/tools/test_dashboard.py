"""The Grafana dashboard shows what is true, on Prometheus and on VictoriaMetrics."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from docspace_exporter.demo import DemoKey
from tests.support.dashboard import (
    ANNOTATIONS,
    PANELS,
    VARIABLES,
    Query,
    Series,
    View,
    panel_of,
    panel_queries,
    queries,
    table,
    tile,
)
from tests.support.dashboard_scene import (
    DOWN,
    EXCEPTED,
    LARGE,
    MANY_OWNER,
    NORTH,
    PORTALS,
    QUIET,
    SOUTH,
    VAGUE,
    Scene,
    playing,
)

QUERIES = list(queries())
TILES = (
    "Keys",
    "Active",
    "Expired",
    "Critical",
    "Warning",
    "Never expire",
    "Unused 90 days",
    "Full access",
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with playing(tmp_path_factory.mktemp("scene")) as scene:
        yield scene


@pytest.fixture(params=["Prometheus", "VictoriaMetrics"])
def database(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def names(rows: list[dict[str, str | float]]) -> list[str]:
    return [str(row["Name"]) for row in rows]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.place)
def test_every_query_returns_something(scene: Scene, database: str, query: Query) -> None:
    assert query.run(scene.view(database))


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.place)
def test_selecting_a_portal_narrows_every_query(scene: Scene, database: str, query: Query) -> None:
    narrowed = {portal: query.run(scene.view(database, portal)) for portal in PORTALS}
    everything = query.run(scene.view(database))
    if all("portal" in series.labels for series in everything):
        for portal, response in narrowed.items():
            assert {series.labels["portal"] for series in response} <= {portal}
    else:
        total = sum(series.last for response in narrowed.values() for series in response)
        assert total == pytest.approx(sum(series.last for series in everything))
        assert narrowed[NORTH] != everything


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.place)
def test_selecting_an_owner_narrows_what_shows_keys(scene: Scene, database: str, query: Query) -> None:
    everything = query.run(scene.view(database))
    if all("id" in series.labels for series in everything):
        for owner in {key.owner.display_name for key in scene.keys}:
            theirs = {key.id for key in scene.keys if key.owner.display_name == owner}
            response = query.run(scene.view(database, NORTH, SOUTH, owners=[owner]))
            assert {series.labels["id"] for series in response} <= theirs
    else:
        assert "$owner" not in query.expr


def test_an_owner_may_have_any_name(scene: Scene, database: str) -> None:
    rows = table(scene.view(database, LARGE, owners=[MANY_OWNER]), "API keys, soonest to expire first")
    assert {row["Owner"] for row in rows} == {MANY_OWNER}


def test_each_owner_has_keys_in_the_table(scene: Scene, database: str) -> None:
    for owner in {key.owner.display_name for key in scene.keys}:
        rows = table(scene.view(database, NORTH, owners=[owner]), "API keys, soonest to expire first")
        assert {row["Owner"] for row in rows} == {owner}
        assert len(rows) == sum(key.owner.display_name == owner for key in scene.keys)


def expected_tiles(keys: list[DemoKey], now: datetime) -> dict[str, int]:
    def below(days: int, part: int) -> int:
        return sum(key.active and is_below(key, now, days, part) and key.name != EXCEPTED for key in keys)

    def unused(key: DemoKey) -> bool:
        if key.last_used is None:
            return key.created < now - timedelta(days=30)
        return key.last_used < now - timedelta(days=90)

    counts = (
        len(keys),
        sum(key.active for key in keys),
        sum(key.expires is not None and key.expires <= now for key in keys),
        below(3, 10),
        below(14, 3),
        sum(key.active and key.expires is None for key in keys),
        sum(key.active and unused(key) for key in keys),
        sum(key.active and not key.permissions for key in keys),
    )
    return dict(zip(TILES, counts, strict=True))


def is_below(key: DemoKey, now: datetime, days: int, part: int) -> bool:
    """Return whether a key that has not expired has less time left than days and a part of its lifetime."""
    if key.expires is None:
        return False
    threshold = min(timedelta(days=days), (key.expires - key.created) / part)
    return now < key.expires < now + threshold


@pytest.mark.parametrize("portal", [NORTH, LARGE])
def test_tiles_count_keys(scene: Scene, database: str, portal: str) -> None:
    expected = expected_tiles(scene.portals[portal].keys, datetime.fromtimestamp(scene.now, UTC))
    view = scene.view(database, portal)
    assert {title: tile(view, title) for title in TILES} == expected


def test_a_key_that_may_be_active_counts_as_expiring(scene: Scene, database: str) -> None:
    view = scene.view(database, VAGUE)
    shown = {title: tile(view, title) for title in TILES}
    assert shown == {**dict.fromkeys(TILES, 0), "Critical": 1, "Warning": 1, "Keys": 1}
    title = "API keys, soonest to expire first"
    (row,) = table(view, title)
    assert shown_as(title, "State", row["State"]) == "critical"
    assert shown_as(title, "Created", row["Created"]) == "unknown"
    assert lines(replace(view, seconds=2, step=1), "Days to expiry")


def test_tiles_count_a_key_once_a_portal(scene: Scene, database: str) -> None:
    one, both = scene.view(database, NORTH), scene.view(database, NORTH, SOUTH)
    for title in TILES:
        number = tile(one, title)
        assert number
        assert tile(both, title) == 2 * number


def test_tiles_are_zero_when_there_is_nothing_to_count(scene: Scene, database: str) -> None:
    shown = {title: tile(scene.view(database, QUIET), title) for title in TILES}
    assert shown == {**dict.fromkeys(TILES, 0), "Keys": 1, "Active": 1}


@pytest.mark.parametrize("title", TILES)
def test_tiles_have_no_data_when_nothing_is_known(scene: Scene, database: str, title: str) -> None:
    before_the_exporter = replace(scene.view(database), end=scene.now - 30 * 86_400)
    assert tile(before_the_exporter, title) is None
    assert tile(scene.view(database, "nowhere"), title) is None
    assert tile(scene.view(database, DOWN), title) is None


@pytest.mark.parametrize("title", [panel["title"] for panel in PANELS if panel["type"] == "table"])
@pytest.mark.parametrize("portal", [NORTH, QUIET, DOWN, VAGUE])
def test_all_queries_of_a_table_return_the_same_rows(
    scene: Scene, database: str, title: str, portal: str
) -> None:
    """Some versions of Grafana merge nothing if one of several queries returns nothing."""
    responses = [query.run(scene.view(database, portal)) for query in panel_queries(panel_of(title))]
    rows = [{(s.labels["portal"], s.labels.get("id")) for s in response} for response in responses]
    assert all(row == rows[0] for row in rows)


def test_the_first_key_is_the_soonest_to_expire(scene: Scene, database: str) -> None:
    now = datetime.fromtimestamp(scene.now, UTC)
    rows = table(scene.view(database, NORTH), "API keys, soonest to expire first")
    future = [key for key in scene.keys if key.expires and key.expires > now]
    past = [key for key in scene.keys if key.expires and key.expires <= now]
    endless = [key for key in scene.keys if not key.expires]
    ordered = [
        *sorted(future, key=lambda key: key.expires or now),
        *sorted(past, key=lambda key: key.expires or now, reverse=True),
        *endless,
    ]
    assert names(rows) == [key.name for key in ordered]
    assert rows[0]["Name"] == "nightly backup"


def test_a_row_shows_the_key_as_it_is_now(scene: Scene, database: str) -> None:
    (key,) = (key for key in scene.keys if key.name == "CRM sync")
    assert key.expires
    assert key.last_used
    rows = table(scene.view(database, NORTH), "API keys, soonest to expire first")
    (row,) = (row for row in rows if row["Name"] == key.name)
    (address,) = re.findall(f'docspace_portal_info{{portal="{NORTH}",url="(.+)"}}', scene.exposed)
    assert list(row) == [
        "Name",
        "Postfix",
        "Owner",
        "Portal",
        "Access",
        "State",
        "Created",
        "Last used",
        "Expires",
        "Time left",
        "Rotate",
    ]
    assert list(row.values()) == [
        key.name,
        key.secret[-4:],
        key.owner.display_name,
        NORTH,
        "scoped",
        5,
        pytest.approx(key.created.timestamp() * 1000),
        pytest.approx(key.last_used.timestamp() * 1000),
        pytest.approx(key.expires.timestamp() * 1000),
        pytest.approx(key.expires.timestamp() - scene.now, abs=10),
        address,
    ]


def test_a_key_that_never_expires_says_so(scene: Scene, database: str) -> None:
    last = table(scene.view(database, NORTH), "API keys, soonest to expire first")[-1]
    assert last["Name"] == "door sign"
    assert shown_as("API keys, soonest to expire first", "Expires", last["Expires"]) == "never"
    assert shown_as("API keys, soonest to expire first", "Time left", last["Time left"]) == "never expires"


def test_states_distinguish_expired_and_disabled_keys(scene: Scene, database: str) -> None:
    title = "API keys, soonest to expire first"
    rows = table(scene.view(database, NORTH), title)
    states = {(row["Name"], row["Postfix"]): shown_as(title, "State", row["State"]) for row in rows}
    for key in scene.keys:
        assert states[key.name, key.secret[-4:]] == state(key, datetime.fromtimestamp(scene.now, UTC))


def state(key: DemoKey, now: datetime) -> str:
    if key.expires is not None and key.expires <= now:
        return "expired"
    if not key.active:
        return "off"
    if is_below(key, now, 3, 10):
        return "critical"
    return "warning" if is_below(key, now, 14, 3) else "active"


def shown_as(title: str, column: str, value: str | float) -> str:
    """Return the text that a column shows for a value."""
    overrides = panel_of(title)["fieldConfig"]["overrides"]
    (override,) = (override for override in overrides if override["matcher"]["options"] == column)
    (mappings,) = (p["value"] for p in override["properties"] if p["id"] == "mappings")
    return str(mappings[0]["options"][f"{value:.0f}"]["text"])


def test_expired_keys_are_sorted_most_recent_first(scene: Scene, database: str) -> None:
    title = "Expired keys, most recent first"
    rows = table(scene.view(database, NORTH), title)
    assert [(row["Name"], shown_as(title, "Replaced", row["Replaced"])) for row in rows] == [
        ("mail gateway", "no"),
        ("chat bot", "yes"),
    ]
    assert [row["Expired"] for row in rows] == [
        pytest.approx(-86_400, abs=60),
        pytest.approx(-5 * 86_400, abs=60),
    ]


def test_unused_keys_are_sorted_longest_unused_first(scene: Scene, database: str) -> None:
    rows = table(scene.view(database, NORTH), "Unused keys, longest unused first")
    assert [(row["Name"], row["Used"]) for row in rows] == [
        ("migration 2025", "long ago"),
        ("intern's first script", "never"),
    ]
    assert [row["Unused for"] for row in rows] == [
        pytest.approx(120 * 86_400, abs=60),
        pytest.approx(86_400, abs=60),
    ]


def lines(view: View, title: str) -> list[Series]:
    (query,) = panel_queries(panel_of(title))
    return query.run(view)


def test_days_to_expiry_fall_by_one_a_day(scene: Scene, database: str) -> None:
    for line in lines(scene.view(database, NORTH), "Days to expiry"):
        first, last = min(line.values), max(line.values)
        assert line.values[first] - line.values[last] == pytest.approx((last - first) / 86_400, abs=0.01)


def test_lines_have_the_newest_name(scene: Scene, database: str) -> None:
    for title in ("Days to expiry", "Days since last use"):
        shown = {line.labels["name"]: line for line in lines(scene.view(database, NORTH), title)}
        assert "CRM import" not in shown
        assert len(shown["CRM sync"].values) > 150


@pytest.mark.parametrize("title", ["Days to expiry", "Days since last use"])
def test_of_a_thousand_keys_twenty_have_lines(scene: Scene, database: str, title: str) -> None:
    newest = replace(scene.view(database, LARGE), seconds=2, step=1)
    shown = [line.labels["name"] for line in lines(newest, title)]
    *active, _ = (key.name for key in scene.portals[LARGE].keys if key.active)
    expected = active[:20] if title == "Days to expiry" else active[-20:]
    assert sorted(shown) == sorted(expected)


def test_a_portal_that_one_replica_cannot_poll_is_shown_as_failed(scene: Scene, database: str) -> None:
    (line,) = lines(replace(scene.view(database, QUIET), seconds=2, step=1), "Portal up")
    assert line.last == 0


def test_the_portal_with_the_oldest_data_is_first(scene: Scene, database: str) -> None:
    title = "Portals, oldest data first"
    down, *others = table(scene.view(database), title)
    assert down["Portal"] == DOWN
    assert shown_as(title, "Data age", down["Data age"]) == "never polled"
    assert shown_as(title, "Keys", down["Keys"]) == "unknown"
    assert shown_as(title, "Newest poll", down["Newest poll"]) == "failed"
    assert shown_as(title, "Data", down["Data"]) == "stale"
    assert {row["Portal"] for row in others} == {*PORTALS} - {DOWN}
    for row in others:
        newest = "failed" if row["Portal"] == QUIET else "succeeded"
        assert shown_as(title, "Newest poll", row["Newest poll"]) == newest
        assert shown_as(title, "Data", row["Data"]) == "fresh"
        seen = "unknown" if row["Portal"] == VAGUE else "all"
        assert shown_as(title, "Keys seen", row["Keys seen"]) == seen


def test_failures_are_counted_by_reason(scene: Scene, database: str) -> None:
    failed = {
        line.labels["reason"]: line for line in lines(scene.view(database, DOWN), "Failed polls by reason")
    }
    assert max(failed.pop("connection").values.values()) > 1
    assert failed
    assert all(set(line.values.values()) == {0.0} for line in failed.values())


def test_annotations_mark_when_a_key_expired(scene: Scene, database: str) -> None:
    (annotation,) = ANNOTATIONS
    view = scene.view(database, NORTH)
    marks = {
        (series.labels["name"], round(moment / 1000))
        for series in view.over_time(annotation["expr"])
        for moment in series.values.values()
    }
    (expired,) = (key for key in scene.keys if key.name == "mail gateway")
    assert expired.expires
    assert marks == {("mail gateway", int(expired.expires.timestamp()))}


def test_variables_list_portals_and_their_owners(scene: Scene, database: str) -> None:
    portal, owner = (variable["definition"] for variable in VARIABLES if variable["type"] == "query")
    assert set(scene.view(database).label_values(portal)) == {*PORTALS}
    assert set(scene.view(database, LARGE).label_values(owner)) == {MANY_OWNER}


def test_no_query_asks_for_a_series_that_is_not_exposed(scene: Scene) -> None:
    exposed = set(re.findall(r"^docspace_\w+", scene.exposed, re.MULTILINE))
    asked = {name for query in QUERIES for name in re.findall(r"docspace_\w+", query.expr)}
    assert asked
    assert asked <= exposed
