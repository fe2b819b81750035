"""docs/metrics.md lists exactly what the program exposes, and its examples and queries work."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
import yaml
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from docspace_exporter import metrics
from docspace_exporter.demo import DemoPortal, sample_keys
from docspace_exporter.docspace.failures import Reason
from tests.support import documents, processes
from tests.support.faulty_portal import FaultyPortal, by_path, respond
from tests.support.portals import SECRET, envelope, record

DOCUMENT = documents.read("docs/metrics.md")
QUESTIONS = documents.read("docs/faq.md")
LISTED = {row[0].plain: row[1:] for row in DOCUMENT.tables["Metrics"]}
REASON_TABLE = DOCUMENT.tables["docspace_poll_failures_total"]
RULES = processes.ROOT / "prometheus" / "rules.yml"
DASHBOARD = processes.ROOT / "grafana" / "dashboards" / "docspace-api-keys.json"
WHY_UNUSED = "Not used by the dashboard or the alerts: "
KEY_LABELS = {"portal", "id", "name", "postfix"}

Exposed = Mapping[str, Metric]


@dataclass(frozen=True)
class Scene:
    """What the demo portal and one with a malformed key expose, and a Prometheus that scraped it."""

    exposed: Exposed
    prometheus: str


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("demo")
    odd = respond(body=envelope([record(name=5)]))
    admin, nobody = respond(body=envelope({"isAdmin": True})), respond(body=envelope([]))
    with (
        DemoPortal(sample_keys(datetime.now(UTC))) as demo,
        FaultyPortal(by_path(respond(), keys=odd, own_user=admin, members=nobody)) as malformed,
        processes.exporter(folder, f"--config.file={write_config(folder, demo, malformed)}") as exporter,
    ):
        processes.wait_for(lambda: exporter.responds("/-/ready"), "the first polls")
        text = requests.get(exporter.url + "/metrics", timeout=5).text
        job = {
            "job_name": "docspace",
            "static_configs": [{"targets": [exporter.url.removeprefix("http://")]}],
        }
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}
        with processes.prometheus(folder, config) as prometheus:
            processes.wait_for(
                lambda: result(prometheus.url, "count_over_time(docspace_up[1m]) >= 2"), "two scrapes"
            )
            yield Scene({series_name(family): family for family in families(text)}, prometheus.url)


def write_config(folder: Path, demo: DemoPortal, malformed: FaultyPortal) -> Path:
    exception = {"id": "*", "allow": ["unused"], "reason": "OPS-12"}
    portals = [
        {"name": "demo", "url": demo.url, "api_key": demo.keys[-1].secret},
        {"name": "malformed", "url": malformed.url, "api_key": SECRET, "exceptions": [exception]},
    ]
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"portals": portals}))
    return path


def families(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def series_name(family: Metric) -> str:
    """Return the name by which the document lists a family."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def result(prometheus: str, query: str) -> list[object]:
    """Return the series that a query gives; raises AssertionError with Prometheus' error."""
    document = requests.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=5).json()
    assert document["status"] == "success", f"{query}: {document['error']}"
    return list(document["data"]["result"])


def listed_labels(name: str) -> set[str]:
    """Return the labels that the document gives a series: in its table, and in the rules above it."""
    own = set(LISTED[name][2].code)
    if name.startswith("docspace_exporter_"):
        return own
    return own | (KEY_LABELS if name.startswith("docspace_api_key_") else {"portal"})


def label_sets(family: Metric) -> set[frozenset[str]]:
    return {frozenset(sample.labels) for sample in family.samples}


def test_it_lists_exactly_the_series_that_are_exposed(scene: Scene) -> None:
    assert set(LISTED) == {name for name in scene.exposed if name.startswith("docspace_")}


def test_it_lists_the_series_of_every_table_in_the_program() -> None:
    gauges = (*metrics.KEY_GAUGES, *metrics.LABELED_KEY_GAUGES, *metrics.TICKING_KEY_GAUGES)
    assert {gauge.name for gauge in gauges} | {name for name, *_ in metrics._SNAPSHOT_GAUGES} <= set(LISTED)


def test_it_gives_each_series_its_type(scene: Scene) -> None:
    types = {name: scene.exposed[name].type for name in LISTED}
    assert {name: cells[0].plain for name, cells in LISTED.items()} == types


def test_it_gives_each_series_its_labels(scene: Scene) -> None:
    labels = {name: label_sets(scene.exposed[name]) for name in LISTED}
    assert {name: {frozenset(listed_labels(name))} for name in LISTED} == labels


def test_it_gives_each_series_the_unit_that_its_name_says() -> None:
    for name, (_, unit, _) in LISTED.items():
        expected = (
            {"time"}
            if name.endswith("_timestamp_seconds")
            else {"seconds"}
            if name.endswith("_seconds")
            else {"always 1"}
            if name.endswith(("_info", "_malformed", "_exception")) and "keys" not in name
            else {"1 or 0", "keys", "records", "polls"}
        )
        assert unit.plain in expected, name


def test_each_series_has_a_section() -> None:
    sections = [heading.plain for heading in DOCUMENT.headings if heading.plain.startswith("docspace_")]
    assert sections == list(LISTED)


@pytest.mark.parametrize("name", LISTED)
def test_the_example_of_a_series_is_a_series_of_it(name: str, scene: Scene) -> None:
    (block,) = DOCUMENT.blocks_under(name, "")
    samples = [sample for family in families(block.text) for sample in family.samples]
    assert {sample.name for sample in samples} == {sample.name for sample in scene.exposed[name].samples}
    assert {frozenset(sample.labels) for sample in samples} == {frozenset(listed_labels(name))}


@pytest.mark.parametrize("name", LISTED)
def test_the_query_of_a_series_has_a_purpose_and_returns_something(name: str, scene: Scene) -> None:
    (block,) = DOCUMENT.blocks_under(name, "promql")
    assert block.text.startswith("# ")
    assert name in block.text
    assert result(scene.prometheus, block.text)


@pytest.mark.parametrize("block", [b for b in QUESTIONS.blocks if b.language == "promql"], ids=str)
def test_each_query_of_the_faq_returns_something(block: documents.Block, scene: Scene) -> None:
    assert result(scene.prometheus, block.text)


def test_it_says_why_nothing_uses_a_series() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    panels = json.loads(DASHBOARD.read_text())
    used = set(re.findall(r"docspace_\w+", json.dumps([rules, panels])))
    unused = {name for name in LISTED if not used & {name, f"{name}_sum", f"{name}_count"}}
    explained = {heading for heading, text in DOCUMENT.paragraphs if text.plain.startswith(WHY_UNUSED)}
    assert unused == explained


def test_it_lists_exactly_the_reasons_for_which_polls_fail() -> None:
    assert [row[0].plain for row in REASON_TABLE] == [reason.value for reason in Reason]


def test_the_series_of_the_process_that_it_names_are_exposed(scene: Scene) -> None:
    prose = [code for heading, text in DOCUMENT.paragraphs if "process_" in heading for code in text.code]
    named = {code for code in prose if re.match("(process|python)_", code)}
    assert named
    assert named <= {sample.name for family in scene.exposed.values() for sample in family.samples}


def test_the_faq_counts_the_series_correctly(scene: Scene) -> None:
    samples = [sample for family in scene.exposed.values() for sample in family.samples]
    of_some = {"docspace_api_key_malformed", "docspace_api_key_exception"}
    keys = Counter(
        sample.labels["id"] for sample in samples if "id" in sample.labels and sample.name not in of_some
    )
    of_portal = sum(sample.labels.get("portal") == "demo" and "id" not in sample.labels for sample in samples)
    expected = f"A key has at most {max(keys.values())} series, and a portal {of_portal} of its own"
    assert any(expected in text.plain for _, text in QUESTIONS.paragraphs)
