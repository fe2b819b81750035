"""The parts of a dashboard as Grafana's JSON has them: queries, tiles, tables, graphs, timelines and rows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
UID = "docspace-api-keys"
DOCS = "https://docspace-exporter.example/blob/main/docs"
WIDTH = 24
"""Columns of Grafana's grid."""


def row(number: int, title: str) -> Json:
    """Return the heading of a row of panels."""
    return {"id": number, "type": "row", "title": title, "gridPos": {"w": WIDTH, "h": 1}}


def laid_out(panels: Sequence[Json]) -> Iterator[Json]:
    """Yield the panels with their places: from left to right, as high as the first of a line."""
    x = y = height = 0
    for panel in panels:
        width = panel["gridPos"]["w"]
        if x + width > WIDTH:
            x, y = 0, y + height
        if x == 0:
            height = panel["gridPos"]["h"]
        yield {**panel, "gridPos": {"x": x, "y": y, **panel["gridPos"]}}
        x += width


def latest(expr: str, ref: str = "A") -> Json:
    """Return a query for the values at the end of the time range."""
    return {"refId": ref, "editorMode": "code", "expr": expr, "instant": True, "range": False}


def over_time(expr: str, legend: str, ref: str = "A") -> Json:
    """Return a query for lines over the time range."""
    return {"refId": ref, "editorMode": "code", "expr": expr, "range": True, "legendFormat": legend}


def texts(*options: tuple[float | str, str, str]) -> list[Json]:
    """Return mappings of values to a text and a colour."""
    found = {str(value): {"text": text, "color": colour} for value, text, colour in options}
    return [{"type": "value", "options": _numbered(found)}]


def ranges(*options: tuple[float, float, str, str]) -> list[Json]:
    """Return mappings of ranges of values, ends included, to a text and a colour."""
    return [
        {
            "type": "range",
            "options": {"from": low, "to": high, "result": {"text": text, "color": colour, "index": index}},
        }
        for index, (low, high, text, colour) in enumerate(options)
    ]


def _numbered(options: Mapping[str, Json]) -> Json:
    return {value: {**option, "index": index} for index, (value, option) in enumerate(options.items())}


def thresholds(base: str, *steps: tuple[float, str]) -> Json:
    """Return colours by value. Without a value, it is the base colour."""
    return {
        "mode": "absolute",
        "steps": [{"color": base, "value": None}, *({"color": c, "value": v} for v, c in steps)],
    }


def fixed(colour: str) -> Json:
    """Return one colour, whatever the value."""
    return {"mode": "fixed", "fixedColor": colour}


def override(matcher: str, name: str, **properties: Any) -> Json:
    """Return properties of the fields that match; an underscore stands for a dot."""
    return {
        "matcher": {"id": matcher, "options": name},
        "properties": [{"id": i.replace("_", "."), "value": v} for i, v in properties.items()],
    }


def link(title: str, url: str, *, new_tab: bool = False) -> Json:
    """Return a link of a value."""
    return {"title": title, "url": url, "targetBlank": new_tab}


def here(title: str, parameters: str) -> Json:
    """Return a link to this dashboard, with the time range, data source and portals that are selected."""
    chosen = "${__url_time_range}&${datasource:queryparam}&${portal:queryparam}"
    return link(title, f"/d/{UID}?{chosen}&{parameters}")


@dataclass(frozen=True)
class Frame:
    """What all panels have."""

    number: int
    """Stays the same, for links and annotations."""
    title: str
    description: str
    width: int
    height: int
    points: int | None = None
    """At most, over the time range; as many as pixels otherwise."""
    interval: str | None = None
    """At least, between two points."""

    def panel(
        self, kind: str, targets: Sequence[Json], defaults: Json, overrides: Sequence[Json], **more: Any
    ) -> Json:
        """Return the panel."""
        resolution = {"maxDataPoints": self.points, "interval": self.interval}
        return {
            "id": self.number,
            "type": kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"w": self.width, "h": self.height},
            "targets": list(targets),
            **{option: value for option, value in resolution.items() if value is not None},
            "fieldConfig": {"defaults": defaults, "overrides": list(overrides)},
            **more,
        }


def tile(frame: Frame, expr: str, links: Sequence[Json], **defaults: Any) -> Json:
    """Return one number, in grey while there is none."""
    options = {
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "center",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    shown = {"color": {"mode": "thresholds"}, "unit": "none", "decimals": 0, "links": list(links), **defaults}
    return frame.panel("stat", [latest(expr)], shown, (), options=options)


@dataclass(frozen=True)
class Column:
    """A column of a table: a label of its rows, or a query of its own."""

    title: str
    width: int
    """Pixels."""
    label: str = ""
    expr: str = ""
    properties: Mapping[str, Any] | None = None
    grows: bool = False
    """Whether it takes what is left, and at least its width: one column does."""

    @property
    def ref(self) -> str:
        """Return the name of the query."""
        return re.sub(r"\W", "-", self.title.lower())

    @property
    def field(self) -> str:
        """Return what Grafana calls the column before it is renamed."""
        return self.label or f"Value #{self.ref}"


def table(frame: Frame, by: str, rows: str, columns: Sequence[Column], order: Json) -> Json:
    """Return a table of what the query `rows` returns.

    The queries are joined by a label. If none of them returns anything, there are no columns either, and
    Grafana says that there is no data.
    """
    targets = [("rows", rows), *((column.ref, column.expr) for column in columns if column.expr)]
    hidden = ["Time", *(f"Time {n + 1}" for n in range(len(targets))), "Value #rows", "key"]
    organize = {
        "excludeByName": dict.fromkeys(hidden, True),
        "indexByName": {column.field: place for place, column in enumerate(columns)},
        "renameByName": {column.field: column.title for column in columns},
    }
    (growing,) = (column for column in columns if column.grows)
    named = {"fieldName": columns[0].field, "config": {"id": "isNotNull", "options": {}}}
    return frame.panel(
        "table",
        [{**latest(expr, ref), "format": "table"} for ref, expr in targets],
        {
            "color": {"mode": "thresholds"},
            "custom": {"align": "left", "cellOptions": {"type": "auto"}, "minWidth": growing.width},
            "thresholds": thresholds("text"),
        },
        [override("byName", column.title, **_properties(column)) for column in columns],
        transformations=[
            {"id": "joinByField", "options": {"byField": by, "mode": "outer"}},
            {"id": "filterByValue", "options": {"type": "include", "match": "any", "filters": [named]}},
            {"id": "sortBy", "options": {"fields": {}, "sort": [order]}},
            {"id": "organize", "options": organize},
        ],
        options={"showHeader": True},
    )


def _properties(column: Column) -> Json:
    return {
        **({} if column.grows else {"custom_width": column.width}),
        **({"custom_filterable": True} if column.label else {}),
        **(column.properties or {}),
    }


COLOURED_TEXT = {"type": "color-text"}


def graph(
    frame: Frame,
    targets: Sequence[Json],
    overrides: Sequence[Json] = (),
    *,
    legend: str = "list",
    custom: Mapping[str, Any] | None = None,
    **defaults: Any,
) -> Json:
    """Return lines over time; a legend that is a table stands at the right, with the newest values."""
    in_table = legend == "table"
    shown = {
        "calcs": ["lastNotNull"] if in_table else [],
        "displayMode": legend,
        "placement": "right" if in_table else "bottom",
        "showLegend": True,
    }
    return frame.panel(
        "timeseries",
        targets,
        {
            "color": {"mode": "palette-classic"},
            "custom": {"showPoints": "never", **(custom or {})},
            "min": 0,
            **defaults,
        },
        overrides,
        options={"legend": shown, "tooltip": {"mode": "multi", "sort": "desc"}},
    )


def timeline(frame: Frame, target: Json, mappings: Sequence[Json], name: str) -> Json:
    """Return states over time, a line for each series; the name is made of its labels."""
    return frame.panel(
        "state-timeline",
        [target],
        {
            "color": {"mode": "thresholds"},
            "custom": {"fillOpacity": 70, "lineWidth": 0, "spanNulls": False},
            "displayName": name,
            "mappings": list(mappings),
            "thresholds": thresholds("text"),
        },
        (),
        # Leaves nothing of a response without series, of which Grafana would say that it has no time field.
        transformations=[{"id": "prepareTimeSeries", "options": {"format": "multi"}}],
        options={
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
            "mergeValues": True,
            "rowHeight": 0.8,
            "showValue": "never",
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )
