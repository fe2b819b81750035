"""The Grafana dashboard, and the parts of Grafana that run its queries and fill its tables."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from tests.support.processes import ROOT

FILE = ROOT / "grafana" / "dashboards" / "docspace-api-keys.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES: list[dict[str, Any]] = DASHBOARD["templating"]["list"]
ANNOTATIONS: list[dict[str, Any]] = [a for a in DASHBOARD["annotations"]["list"] if "expr" in a]

Row = dict[str, str | float]


@dataclass(frozen=True)
class Series:
    """One series of a response: its labels, and its values by time, a single one for an instant query."""

    labels: dict[str, str]
    values: dict[float, float]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.values[max(self.values)]


@dataclass(frozen=True)
class View:
    """A database, the time range, and the values of the variables: none means All."""

    url: str
    end: float
    """Unix seconds."""
    seconds: float
    step: int
    """Seconds between the points of a line."""
    portals: Sequence[str] = ()
    owners: Sequence[str] = ()
    show: str = "all"
    """The text of a value of the variable `show`."""

    def instant(self, expr: str) -> list[Series]:
        """Return the response of an instant query; raises AssertionError for an error."""
        response = self._ask("query", query=self._interpolate(expr), time=self.end)
        return [Series(r["metric"], {float(r["value"][0]): float(r["value"][1])}) for r in response["result"]]

    def over_time(self, expr: str) -> list[Series]:
        """Return the response of a range query; raises AssertionError for an error.

        `nocache` keeps VictoriaMetrics from rounding the time shown.
        """
        span = {"start": self.end - self.seconds, "end": self.end, "step": self.step}
        response = self._ask("query_range", query=self._interpolate(expr), nocache=1, **span)
        return [Series(r["metric"], {float(t): float(v) for t, v in r["values"]}) for r in response["result"]]

    def label_values(self, definition: str) -> list[str]:
        """Return what `label_values(series, label)` lists."""
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", self._interpolate(definition))
        assert match, definition
        values: list[str] = self._ask(f"label/{match[2]}/values", **{"match[]": match[1]})
        return values

    def _interpolate(self, expr: str) -> str:
        known = {
            "${portal:regex}": _as_regex(self.portals),
            "${owner:regex}": _as_regex(self.owners),
            "${show:raw}": selection(self.show),
            "$__rate_interval": f"{self.step + 60}s",
            "$__interval": f"{self.step}s",
            "${__from}": str(round((self.end - self.seconds) * 1000)),
            "${__to}": str(round(self.end * 1000)),
        }
        for variable, value in known.items():
            expr = expr.replace(variable, value)
        assert "$" not in expr.replace(r"\$", ""), f"a variable that Grafana does not know here: {expr}"
        return expr

    def _ask(self, endpoint: str, **parameters: Any) -> Any:
        response = requests.get(f"{self.url}/api/v1/{endpoint}", params=parameters, timeout=30)
        assert response.status_code == 200, f"{response.text}: {parameters}"
        return response.json()["data"]


def selection(show: str) -> str:
    """Return the value of the variable `show` that has this text."""
    (variable,) = (variable for variable in VARIABLES if variable["name"] == "show")
    (value,) = (option["value"] for option in variable["options"] if option["text"] == show)
    return str(value)


def _as_regex(chosen: Sequence[str]) -> str:
    """Return the values as Grafana's format `regex` writes them; it leaves the value of All as it is."""
    if not chosen:
        return ".*"
    escaped = [re.sub(r"[\\^$*+?.()|\[\]{}/]", r"\\\g<0>", value) for value in chosen]
    return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"


@dataclass(frozen=True)
class Query:
    """One query of a panel or an annotation."""

    place: str
    expr: str
    instant: bool

    def run(self, view: View) -> list[Series]:
        """Return the response as Grafana asks for it."""
        return view.instant(self.expr) if self.instant else view.over_time(self.expr)


def queries() -> Iterator[Query]:
    """Yield every query of every panel and annotation."""
    for panel in PANELS:
        yield from panel_queries(panel)
    for annotation in ANNOTATIONS:
        yield Query(annotation["name"], annotation["expr"], instant=False)


def panel_queries(panel: dict[str, Any]) -> Iterator[Query]:
    """Yield the queries of one panel."""
    for target in panel["targets"]:
        yield Query(f"{panel['title']} [{target['refId']}]", target["expr"], target.get("instant", False))


def panel_of(title: str) -> dict[str, Any]:
    """Return the panel of this title."""
    (panel,) = (panel for panel in PANELS if panel["title"] == title)
    return panel


def tile(view: View, title: str) -> float | None:
    """Return the number that a tile shows; None for "No data"."""
    (query,) = panel_queries(panel_of(title))
    series = query.run(view)
    assert len(series) <= 1, series
    return series[0].last if series else None


def table(view: View, title: str) -> list[Row]:
    """Return the rows of a table by column, after the panel's transformations."""
    panel = panel_of(title)
    (join, joined), (select, selected), (sort, order), (organize, organized) = (
        (step["id"], step["options"]) for step in panel["transformations"]
    )
    assert (join, select, sort, organize) == ("joinByField", "filterByValue", "sortBy", "organize")
    rows = _join([_frame(view, target) for target in panel["targets"]], joined)
    (kept,) = selected["filters"]
    assert kept["config"]["id"] == "isNotNull"
    rows = [row for row in rows if kept["fieldName"] in row]
    (by,) = order["sort"]
    rows.sort(key=lambda row: row.get(by["field"], math.inf), reverse=by["desc"])
    return [_organize(row, organized) for row in rows]


def _frame(view: View, target: dict[str, Any]) -> list[Row]:
    value = f"Value #{target['refId']}"
    return [{**series.labels, value: series.last} for series in view.instant(target["expr"])]


def _join(frames: Sequence[Sequence[Row]], options: dict[str, str]) -> list[Row]:
    """Join the rows that have the same value of a field; other fields they must not have in common."""
    assert options["mode"] == "outer"
    joined: dict[str | float, Row] = {}
    for rows in frames:
        keys = [row[options["byField"]] for row in rows]
        assert len(set(keys)) == len(keys), f"rows that cannot be distinguished: {rows}"
        for key, row in zip(keys, rows, strict=True):
            place = joined.setdefault(key, {})
            assert not {*row} & {*place} - {options["byField"]}, f"two columns of one name: {row}, {place}"
            place.update(row)
    return list(joined.values())


def _organize(row: Row, options: dict[str, Any]) -> Row:
    places, names, hidden = options["indexByName"], options["renameByName"], options["excludeByName"]
    fields = sorted((f for f in row if not hidden.get(f)), key=lambda f: places.get(f, len(places)))
    return {names.get(field, field): row[field] for field in fields}
