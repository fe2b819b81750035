"""The Grafana dashboard shows what is true, on Prometheus and on VictoriaMetrics."""

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from grafana.expressions import STATES
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
    selection,
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
from tests.support.dashboard_truth import Truth

QUERIES = list(queries())
KEYS = "API keys: ${show:text}"
COUNTS = (
    "Critical",
    "Warning",
    "Expired in use",
    "Owner disabled",
    "Exporter's key",
    "Unused",
    "Full access",
    "Never expire",
)
TILES = ("Portals down", "Soonest expiry", *COUNTS)
SHOWN = [
    option["text"] for variable in VARIABLES if variable["name"] == "show" for option in variable["options"]
]


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
    month = replace(scene.view(database), seconds=30 * 86_400)  # the rotation of a key is in it
    if query.place != "Deleted":
        assert query.run(month)


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.place)
def test_selecting_a_portal_narrows_every_query(scene: Scene, database: str, query: Query) -> None:
    narrowed = {portal: query.run(scene.view(database, portal)) for portal in PORTALS}
    everything = query.run(scene.view(database))
    if all("portal" in series.labels for series in everything):
        for portal, response in narrowed.items():
            assert {series.labels["portal"] for series in response} <= {portal}
    else:
        combine = {"Soonest expiry": min, "Days to expiry": max}.get(query.place.split(" [")[0], sum)
        total = combine(series.last for response in narrowed.values() for series in response)
        assert total == pytest.approx(sum(series.last for series in everything))


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.place)
def test_selecting_an_owner_narrows_what_shows_keys(scene: Scene, database: str, query: Query) -> None:
    everything = query.run(scene.view(database))
    if everything and all("id" in series.labels for series in everything):
        for owner in {key.owner.display_name for key in scene.keys}:
            theirs = {key.id for key in scene.keys if key.owner.display_name == owner}
            response = query.run(scene.view(database, NORTH, SOUTH, owners=[owner]))
            assert {series.labels["id"] for series in response} <= theirs
    elif "[rows]" not in query.place:
        assert "$owner" not in query.expr


def test_an_owner_may_have_any_name(scene: Scene, database: str) -> None:
    rows = table(scene.view(database, LARGE, owners=[MANY_OWNER]), KEYS)
    assert {row["Owner"] for row in rows} == {MANY_OWNER}


def test_each_owner_has_keys_in_the_table(scene: Scene, database: str) -> None:
    for owner in {key.owner.display_name for key in scene.keys}:
        rows = table(scene.view(database, NORTH, owners=[owner]), KEYS)
        assert {row["Owner"] for row in rows} == {owner}
        assert len(rows) == sum(key.owner.display_name == owner for key in scene.keys)


def truth(scene: Scene, portal: str) -> Truth:
    own = ["admin console", "prometheus exporter"] if portal in {NORTH, SOUTH} else ["exporter"]
    return Truth(scene.portals[portal].keys, datetime.fromtimestamp(scene.now, UTC), own, [EXCEPTED])


@pytest.mark.parametrize("portal", [NORTH, LARGE])
def test_tiles_count_keys(scene: Scene, database: str, portal: str) -> None:
    view = scene.view(database, portal)
    assert {title: tile(view, title) for title in COUNTS} == truth(scene, portal).tiles()


@pytest.mark.parametrize("show", SHOWN)
def test_a_tile_leads_to_the_keys_that_it_counts(scene: Scene, database: str, show: str) -> None:
    title = {"exporter's own": "Exporter's key"}.get(show, show.capitalize())
    rows = table(replace(scene.view(database, NORTH, LARGE), show=show), KEYS)
    if title in COUNTS and title != "Exporter's key":
        assert len(rows) == tile(scene.view(database, NORTH, LARGE), title)
    for link in (link for panel in PANELS for link in panel["fieldConfig"]["defaults"].get("links", ())):
        if link["title"].endswith(f": {show}"):
            assert parse_qs(link["url"])["var-show"] == [selection(show)]


def test_the_soonest_expiry_is_that_of_an_active_key(scene: Scene, database: str) -> None:
    expiries = [key.expires.timestamp() for key in scene.keys if key.active and key.expires]
    assert tile(scene.view(database, NORTH), "Soonest expiry") == pytest.approx(
        min(expiries) - scene.now, abs=1
    )


def test_a_key_that_may_be_active_counts_as_expiring(scene: Scene, database: str) -> None:
    view = scene.view(database, VAGUE)
    shown = {title: tile(view, title) for title in COUNTS}
    unknown = dict.fromkeys(("Exporter's key", "Owner disabled"))
    assert shown == {**dict.fromkeys(COUNTS, 0), **unknown, "Critical": 1, "Warning": 1}
    (row,) = table(view, KEYS)
    assert shown_as(KEYS, "State", row["State"]) == "critical"
    assert "Created" not in row
    assert lines(replace(view, seconds=2, step=1), "Days to expiry")


def test_tiles_count_a_key_once_a_portal(scene: Scene, database: str) -> None:
    one, both = scene.view(database, NORTH), scene.view(database, NORTH, SOUTH)
    assert any(tile(one, title) for title in COUNTS)
    for title in COUNTS:
        number = tile(one, title)
        assert number is not None
        assert tile(both, title) == 2 * number


def test_tiles_are_zero_when_there_is_nothing_to_count(scene: Scene, database: str) -> None:
    shown = {title: tile(scene.view(database, QUIET), title) for title in ("Portals down", *COUNTS)}
    assert set(shown.values()) == {0}


def test_a_portal_that_was_never_polled_is_down(scene: Scene, database: str) -> None:
    assert tile(scene.view(database), "Portals down") == 1
    assert tile(scene.view(database, DOWN), "Portals down") == 1


@pytest.mark.parametrize("title", TILES)
def test_tiles_have_no_data_when_nothing_is_known(scene: Scene, database: str, title: str) -> None:
    before_the_exporter = replace(scene.view(database), end=scene.now - 30 * 86_400)
    assert tile(before_the_exporter, title) is None
    assert tile(scene.view(database, "nowhere"), title) is None
    if title != "Portals down":
        assert tile(scene.view(database, DOWN), title) is None


def test_without_data_tiles_are_grey() -> None:
    for panel in PANELS:
        if panel["type"] == "stat":
            base, *steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
            assert (base["color"], base["value"]) == ("text", None)
            assert all(step["value"] == 0 for step in steps if step["color"] == "green")


@pytest.mark.parametrize("portal", [NORTH, QUIET, DOWN, VAGUE])
def test_queries_of_the_table_of_portals_return_the_same_rows(
    scene: Scene, database: str, portal: str
) -> None:
    panel = panel_of("Portals, oldest data first")
    responses = [query.run(scene.view(database, portal)) for query in panel_queries(panel)]
    assert all([s.labels["portal"] for s in response] == [portal] for response in responses)


def test_the_worst_is_first(scene: Scene, database: str) -> None:
    rows = table(scene.view(database, NORTH), KEYS)
    assert names(rows)[:6] == [
        "mail gateway",
        "nightly backup",
        "old website form",
        "signature service",
        "invoice import",
        "CRM sync",
    ]
    fine = [row for row in rows if shown_as(KEYS, "State", row["State"]) == "ok"]
    left = [float(row.get("Time left", math.inf)) for row in fine]
    assert left == sorted(left)
    assert math.isinf(left[-1])


def test_a_row_shows_the_key_as_it_is_now(scene: Scene, database: str) -> None:
    (key,) = (key for key in scene.keys if key.name == "CRM sync")
    assert key.expires
    assert key.last_used
    rows = table(scene.view(database, NORTH), KEYS)
    (row,) = (row for row in rows if row["Name"] == key.name)
    (address,) = re.findall(f'docspace_portal_info{{portal="{NORTH}",url="(.+)"}}', scene.exposed)
    assert row == {
        "Name": key.name,
        "Time left": pytest.approx(key.expires.timestamp() - scene.now, abs=10),
        "State": pytest.approx(4, abs=0.01),
        "Expires": pytest.approx(key.expires.timestamp() * 1000),
        "Last used": pytest.approx(key.last_used.timestamp() * 1000),
        "Owner": key.owner.display_name,
        "Portal": NORTH,
        "Rotate": address,
        "Access": "scoped",
        "Created": pytest.approx(key.created.timestamp() * 1000),
        "Postfix": key.secret[-4:],
    }


def test_a_key_that_never_expires_says_so(scene: Scene, database: str) -> None:
    (row,) = (row for row in table(scene.view(database, NORTH), KEYS) if row["Name"] == "door sign")
    assert not {"Time left", "Expires"} & {*row}
    for column in ("Time left", "Expires"):
        assert properties_of(KEYS, column)["noValue"] == "never"


@pytest.mark.parametrize("portal", [NORTH, LARGE])
def test_states_are_those_of_the_keys(scene: Scene, database: str, portal: str) -> None:
    expected = truth(scene, portal)
    rows = {(row["Name"], row["Postfix"]): row["State"] for row in table(scene.view(database, portal), KEYS)}
    asked = [n for n, (_, colour) in enumerate(STATES) if colour in {"red", "orange"}]
    for key in expected.keys:
        state = rows[key.name, key.secret[-4:]]
        assert shown_as(KEYS, "State", state) == ("ok" if key.name in expected.own else expected.state(key))
        assert (int(float(state)) in asked) == expected.asks_for_something(key)


def properties_of(title: str, column: str) -> dict[str, Any]:
    """Return the properties that a column has besides those of the panel."""
    overrides = panel_of(title)["fieldConfig"]["overrides"]
    (override,) = (override for override in overrides if override["matcher"]["options"] == column)
    return {p["id"]: p["value"] for p in override["properties"]}


def shown_as(title: str, column: str, value: str | float) -> str:
    """Return the text that a column shows for a value."""
    for mapping in properties_of(title, column)["mappings"]:
        options = mapping["options"]
        if mapping["type"] == "range":
            if options["from"] <= float(value) <= options["to"]:
                return str(options["result"]["text"])
        elif f"{value:.0f}" in options:
            return str(options[f"{value:.0f}"]["text"])
    raise AssertionError(f"no text for {value}")


def lines(view: View, title: str, ref: str = "") -> list[Series]:
    found = [query for query in panel_queries(panel_of(title)) if ref in query.place]
    return found[-1].run(view)


def test_days_to_expiry_fall_by_one_a_day(scene: Scene, database: str) -> None:
    for line in lines(scene.view(database, NORTH), "Days to expiry"):
        first, last = min(line.values), max(line.values)
        assert line.values[first] - line.values[last] == pytest.approx((last - first) / 86_400, abs=0.01)


def test_lines_have_the_newest_name_and_the_urgency(scene: Scene, database: str) -> None:
    shown = {line.labels["name"]: line for line in lines(scene.view(database, NORTH), "Days to expiry")}
    assert {name: line.labels["urgency"] for name, line in shown.items()} == {
        "CRM sync": "warning",
        "nightly backup": "critical",
    }
    assert len(shown["CRM sync"].values) > 150


@pytest.mark.parametrize("title", ["Days to expiry", "State of the keys that expire first"])
def test_of_a_thousand_keys_twenty_have_lines(scene: Scene, database: str, title: str) -> None:
    newest = replace(scene.view(database, LARGE), seconds=2, step=1)
    shown = [line.labels["name"] for line in lines(newest, title)]
    everything = [key.name for key in scene.portals[LARGE].keys]
    active = [key.name for key in scene.portals[LARGE].keys if key.active and key.name != EXCEPTED]
    assert sorted(shown) == sorted((active if title == "Days to expiry" else everything)[:20])


def test_thresholds_are_areas(scene: Scene, database: str) -> None:
    view = replace(scene.view(database, NORTH), seconds=2, step=1)
    for severity, days in (("warning", 14), ("critical", 3)):
        (area,) = lines(view, "Days to expiry", f"[{severity}-area]")
        assert area.last == days


def test_the_state_of_a_key_changes_with_its_time_left(scene: Scene, database: str) -> None:
    title = "State of the keys that expire first"
    mappings = panel_of(title)["fieldConfig"]["defaults"]["mappings"]
    shown = {}
    for line in lines(scene.view(database, NORTH), title):
        states = [
            mapping["options"]["result"]["text"]
            for _, value in sorted(line.values.items())
            for mapping in mappings
            if mapping["options"]["from"] <= value <= mapping["options"]["to"]
        ]
        assert len(states) == len(line.values)
        shown[line.labels["name"]] = list(dict.fromkeys(states))
    assert shown["nightly backup"] == ["warning", "critical"]
    assert shown["mail gateway"] == ["off", "expired"]
    assert shown["CRM sync"] == ["warning"]
    assert shown["data warehouse"] == ["ok"]


def test_a_portal_that_one_replica_cannot_poll_is_shown_as_failed(scene: Scene, database: str) -> None:
    view = replace(scene.view(database, QUIET, DOWN, NORTH), seconds=2, step=1)
    shown = {line.labels["portal"]: line.last for line in lines(view, "Portals over time")}
    assert shown == {DOWN: 0, QUIET: 1, NORTH: 2}


def test_the_portal_with_the_oldest_data_is_first(scene: Scene, database: str) -> None:
    title = "Portals, oldest data first"
    down, *others = table(scene.view(database), title)
    assert down["Portal"] == DOWN
    assert shown_as(title, "Data age", down["Data age"]) == "never polled"
    assert shown_as(title, "Keys", down["Keys"]) == "unknown"
    assert shown_as(title, "Last poll", down["Last poll"]) == "failed"
    assert shown_as(title, "Data", down["Data"]) == "stale"
    assert {row["Portal"] for row in others} == {*PORTALS} - {DOWN}
    for row in others:
        newest = "failed" if row["Portal"] == QUIET else "succeeded"
        assert shown_as(title, "Last poll", row["Last poll"]) == newest
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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Created", ["intern's first script", "CRM sync"]),
        ("Rotated", ["chat bot"]),
        ("Expired", ["mail gateway", "chat bot"]),
    ],
)
def test_annotations_mark_when_it_happened(
    scene: Scene, database: str, name: str, expected: list[str]
) -> None:
    (annotation,) = (annotation for annotation in ANNOTATIONS if annotation["name"] == name)
    view = replace(scene.view(database, NORTH), seconds=81 * 86_400, step=86_400)
    marks = {
        (series.labels["name"], round(moment / 1000))
        for series in view.over_time(annotation["expr"])
        if series.labels["name"] != "CRM import"  # its name until just now
        for moment in series.values.values()
    }
    moments = {
        (key.name, int(moment.timestamp()))
        for key in scene.keys
        if (moment := key.expires if name == "Expired" else key.created)
    }
    assert marks <= moments
    assert {*expected} <= {marked for marked, _ in marks}


def test_variables_list_portals_and_their_owners(scene: Scene, database: str) -> None:
    portal, owner = (variable["definition"] for variable in VARIABLES if variable["type"] == "query")
    assert set(scene.view(database).label_values(portal)) == {*PORTALS}
    assert set(scene.view(database, LARGE).label_values(owner)) == {MANY_OWNER}


def test_no_query_asks_for_a_series_that_is_not_exposed(scene: Scene) -> None:
    exposed = set(re.findall(r"^docspace_\w+", scene.exposed, re.MULTILINE))
    asked = {name for query in QUERIES for name in re.findall(r"docspace_\w+", query.expr)}
    assert asked
    assert asked <= exposed
