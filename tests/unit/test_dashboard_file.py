"""The Grafana dashboard as a file: what any Grafana from 9.4 on shows of it, and in which order."""

from itertools import combinations
from typing import Any

import pytest
import yaml

from tests.support.dashboard import ANNOTATIONS, DASHBOARD, FILE, PANELS, VARIABLES
from tests.support.processes import ROOT

COLUMNS = 24
SHIPPED_WITH_GRAFANA = {"stat", "table", "timeseries", "state-timeline"}


def test_the_dashboard_is_known_by_its_uid() -> None:
    assert DASHBOARD["uid"] == FILE.stem == "docspace-api-keys"


def test_rows_answer_in_order_of_urgency() -> None:
    rows = [panel for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert [row["title"] for row in sorted(rows, key=lambda row: row["gridPos"]["y"])] == [
        "Is anything about to break?",
        "Which key, and what do I do?",
        "How is it going?",
        "Can I trust this?",
    ]


def test_panels_have_unique_ids() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_panels_fill_the_width_without_overlapping() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        place = panel["gridPos"]
        return {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }

    for one, other in combinations(DASHBOARD["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    covered = set.union(*map(cells, DASHBOARD["panels"]))
    assert covered == {(x, y) for x in range(COLUMNS) for y in range(max(y for _, y in covered) + 1)}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_explains_itself_and_needs_no_plugin(panel: dict[str, Any]) -> None:
    assert panel["type"] in SHIPPED_WITH_GRAFANA
    assert panel["description"].endswith(".")


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_columns_that_are_formatted_exist(panel: dict[str, Any]) -> None:
    named = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
    columns = {
        name
        for step in panel.get("transformations", [])
        if step["id"] == "organize"
        for name in step["options"]["renameByName"].values()
    }
    legends = {target.get("legendFormat") for target in panel["targets"]}
    assert named <= columns | legends


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_coloured_cells_are_coloured_by_grafana_9(panel: dict[str, Any]) -> None:
    properties = [p for override in panel["fieldConfig"]["overrides"] for p in override["properties"]]
    for cell in (p["value"] for p in properties if p["id"] == "custom.cellOptions"):
        assert cell["type"] == "color-text" or cell["mode"] == "basic"


def test_everything_uses_the_selected_data_source() -> None:
    asking = [*PANELS, *ANNOTATIONS, *(variable for variable in VARIABLES if variable["type"] == "query")]
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert all(part["datasource"] == chosen for part in asking)


def test_times_are_those_of_the_viewer() -> None:
    assert DASHBOARD["timezone"] == "browser"


def test_provisioning_loads_the_dashboard_and_a_data_source() -> None:
    provisioning = ROOT / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "docspace.yaml").read_text())["providers"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert (provider["type"], source["type"]) == ("file", "prometheus")
