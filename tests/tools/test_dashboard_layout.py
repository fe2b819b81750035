"""Nothing that is needed is cut in the dashboard, measured in Grafana's font, without a Grafana.

Beside its menu, Grafana has 945 pixels for panels in a window of 1280, and 1270 in one of 1600. The distances
are those of Grafana 12.3.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import browser as browsers
from tests.support.browser import Browser
from tests.support.dashboard import PANELS

NARROW, WIDE = 945, 1270
GRID_COLUMNS, GAP = 24, 8
PANEL_SIDES = 18
"""Padding and borders of a panel."""
CELL_SIDES = 13
FILTER_ICON = 20
BESIDE_TITLE = 69
"""The sides of a panel's title, the icon of its description, and its menu."""

LONGEST = {
    "s": "-42.9 weeks",
    "time:YYYY-MM-DD HH:mm": "2028-08-28 20:44",
    "dateTimeFromNow": "a few seconds ago",
}
"""What Grafana shows at most of a unit."""

TABLES = [panel for panel in PANELS if panel["type"] == "table"]
TILES = [panel for panel in PANELS if panel["type"] == "stat"]
NEEDED = {
    "API keys: ${show:text}": "Rotate",
    "Portals, oldest data first": "Address",
}
"""The last column that one needs, of each table."""

Column = dict[str, Any]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsers.browser(tmp_path_factory.mktemp("browser")) as browser:
        browser.open("data:text/html,<!doctype html>")
        yield browser


def width(browser: Browser, text: str, weight: int = 400, family: str = "Inter") -> float:
    """Return the width of a text as Grafana writes it, in pixels."""
    return float(
        browser.run(
            f"""
            const span = document.createElement("span");
            span.style = "font: {weight} 14px '{family}', monospace; letter-spacing: 0.01071em";
            span.textContent = {json.dumps(text)};
            document.body.append(span);
            const {{ width }} = span.getBoundingClientRect();
            span.remove();
            return width;
            """
        )
    )


def columns(panel: dict[str, Any]) -> list[tuple[str, Column]]:
    """Return the columns of a table in their order, with their properties."""
    (organize,) = (step["options"] for step in panel["transformations"] if step["id"] == "organize")
    properties = {
        override["matcher"]["options"]: {p["id"]: p["value"] for p in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    }
    names = {organize["indexByName"][field]: name for field, name in organize["renameByName"].items()}
    return [(name, properties[name]) for _, name in sorted(names.items())]


def pixels(panel: dict[str, Any], column: Column) -> int:
    """Return the width of a column where there is little room."""
    return int(column.get("custom.width", panel["fieldConfig"]["defaults"]["custom"]["minWidth"]))


def texts(column: Column) -> Iterator[str]:
    """Yield the texts of a column that do not come from a portal."""
    if "unit" in column:
        yield LONGEST[column["unit"]]
    if "noValue" in column:
        yield column["noValue"]
    for mapping in column.get("mappings", ()):
        options = mapping["options"]
        results = [options["result"]] if "result" in options else options.values()
        yield from (result["text"] for result in results)


def test_the_font_is_grafanas(browser: Browser) -> None:
    assert width(browser, "illicit") != width(browser, "illicit", family="monospace")


@pytest.mark.parametrize("panel", TABLES, ids=lambda panel: panel["title"])
def test_the_columns_that_are_needed_fit(panel: dict[str, Any]) -> None:
    widths = [(name, pixels(panel, column)) for name, column in columns(panel)]
    needed = [name for name, _ in widths].index(NEEDED[panel["title"]]) + 1
    assert sum(pixels for _, pixels in widths[:needed]) <= NARROW - PANEL_SIDES, widths
    assert sum(pixels for _, pixels in widths) <= WIDE - PANEL_SIDES, widths


@pytest.mark.parametrize("panel", TABLES, ids=lambda panel: panel["title"])
def test_no_heading_and_no_text_of_ours_is_cut(browser: Browser, panel: dict[str, Any]) -> None:
    for name, column in columns(panel):
        room = pixels(panel, column) - CELL_SIDES
        icon = FILTER_ICON if column.get("custom.filterable") else 0
        assert width(browser, name, weight=500) + icon <= room, name
        for text in texts(column):
            assert width(browser, text) <= room, (name, text)


@pytest.mark.parametrize("panel", TILES, ids=lambda panel: panel["title"])
def test_no_title_of_a_tile_is_cut(browser: Browser, panel: dict[str, Any]) -> None:
    grid_columns = panel["gridPos"]["w"]
    tile = (NARROW - (GRID_COLUMNS - 1) * GAP) / GRID_COLUMNS * grid_columns + (grid_columns - 1) * GAP
    assert width(browser, panel["title"], weight=500) <= tile - BESIDE_TITLE
