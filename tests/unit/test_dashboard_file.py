"""The Grafana dashboard as a file: what any Grafana from 10.4 on shows of it, and in which order."""

import json
import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from grafana.dashboard import rendered
from grafana.parts import DOCS
from tests.support.dashboard import ANNOTATIONS, DASHBOARD, FILE, PANELS, VARIABLES
from tests.support.processes import ROOT

COLUMNS = 24
SHIPPED_WITH_GRAFANA = {"stat", "table", "timeseries", "state-timeline"}


def test_the_file_is_what_its_parts_make() -> None:
    assert FILE.read_text() == rendered(), "run `make dashboard`"


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
def test_what_is_formatted_exists(panel: dict[str, Any]) -> None:
    columns = {
        name
        for step in panel.get("transformations", [])
        if step["id"] == "organize"
        for name in step["options"]["renameByName"].values()
    }
    legends = {target.get("legendFormat") for target in panel["targets"]}
    exist = {
        "byName": columns | legends,
        "byFrameRefID": {target["refId"] for target in panel["targets"]},
        "byRegexp": {"/^critical:/", "/^warning:/", "/^soon:/"},
    }
    for override in panel["fieldConfig"]["overrides"]:
        assert override["matcher"]["options"] in exist[override["matcher"]["id"]]


def test_links_lead_to_the_dashboard_the_documentation_or_the_portal() -> None:
    links = [link["url"] for panel in PANELS for link in panel["fieldConfig"]["defaults"].get("links", ())]
    links += [
        link["url"]
        for panel in PANELS
        for override in panel["fieldConfig"]["overrides"]
        for p in override["properties"]
        if p["id"] == "links"
        for link in p["value"]
    ]
    starts = (f"/d/{DASHBOARD['uid']}?${{__url_time_range}}&", f"{DOCS}/", "${__value.raw}/developer-tools/")
    assert all(url.startswith(starts) for url in links)
    for start in starts:
        assert any(url.startswith(start) for url in links)


def test_the_link_to_the_portals_shows_their_table() -> None:
    (table,) = (panel for panel in PANELS if panel["title"] == "Portals, oldest data first")
    (down,) = (panel for panel in PANELS if panel["title"] == "Portals down")
    (link,) = down["fieldConfig"]["defaults"]["links"]
    assert link["url"].endswith(f"&viewPanel={table['id']}")


def test_the_values_of_show_survive_grafanas_list_of_values() -> None:
    (variable,) = (variable for variable in VARIABLES if variable["name"] == "show")
    listed = [text.replace("\\,", ",") for text in re.findall(r"(?:\\,|[^,])+", variable["query"])]
    parsed = [re.fullmatch(r"\s*(.+)\s:\s(.+)", text) for text in listed]
    assert [(match[1], match[2]) for match in parsed if match] == [
        (option["text"], option["value"]) for option in variable["options"]
    ]


def test_a_status_page_can_be_linked() -> None:
    links = json.loads(rendered("https://exporter.example/"))["links"]
    assert {link["title"]: link["url"] for link in links}["Status page"] == "https://exporter.example/"


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
