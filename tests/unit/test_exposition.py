"""The exporter's own rendering has the same series, labels and values as that of prometheus-client."""

import gzip
import zlib
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from docspace_exporter import exposition as exposition_module
from docspace_exporter import portal_text
from docspace_exporter.docspace.model import ApiKey
from docspace_exporter.exposition import Exposition
from docspace_exporter.formats import Format
from docspace_exporter.metrics import ExporterState
from docspace_exporter.poller import PortalState
from tests.support.collector import DocSpaceCollector
from tests.support.portals import polled, portal_at
from tests.support.samples import Series, samples, samples_of, values
from tests.support.strategies import histories

NOW = 1_800_000_000.0
EXPORTER = ExporterState(version="1.2.3", revision='"quoted"', reload_success_time=5.5)
MANY = tuple(ApiKey(id=str(number), expiry=NOW + number, last_used=NOW - number) for number in range(400))


class Process(Collector):
    """A substitute for the metrics of the process."""

    def collect(self) -> Iterable[Metric]:
        return [GaugeMetricFamily("process_start_time_seconds", "Start time.", value=1.5)]


class Clock:
    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def exposition_of(*states: PortalState, clock: Clock | None = None) -> Exposition:
    exposition = Exposition(EXPORTER, Process(), clock or Clock())
    exposition.show(EXPORTER, lambda: states, label_names(states))
    return exposition


def label_names(states: Iterable[PortalState]) -> Sequence[str]:
    return sorted({name for state in states for name, _ in state.portal.labels})


def text_of(exposition: Exposition, format_: Format = Format.TEXT) -> str:
    return exposition.render(format_, gzip=False).decode()


def families(text: str) -> dict[str, tuple[str, str, dict[Series, float]]]:
    """Return the type, help and samples of each metric of an exposition."""
    parse = parse_openmetrics if text.endswith("# EOF\n") else parse_text
    return {metric.name: (metric.type, metric.documentation, samples_of([metric])) for metric in parse(text)}


def reference(states: Sequence[PortalState], format_: Format, now: float = NOW) -> str:
    """Return the text that prometheus-client renders."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DocSpaceCollector(EXPORTER, states, label_names(states), lambda: now))
    registry.register(Process())
    if format_ is Format.TEXT:
        return generate_latest(registry).decode()
    return bytes(generate_openmetrics(registry)).decode()  # type: ignore[no-untyped-call]


@settings(max_examples=max(25, settings().max_examples // 100))
@given(
    history=histories(),
    now=st.floats(0, 4e9),
    format_=st.sampled_from(Format),
    deflated=st.sampled_from([(0, 0), (3000, 300), (256 * 1024, 1024)]),
    group_size=st.sampled_from([0, 3000, 32 * 1024]),
    group=st.integers(1, 3),
)
def test_the_text_equals_that_of_prometheus_client(
    history: list[list[PortalState]],
    now: float,
    format_: Format,
    deflated: tuple[int, int],
    group_size: int,
    group: int,
) -> None:
    newest = [states[-1] for states in history]
    exposition = Exposition(EXPORTER, Process(), Clock(now))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portal_text, "WORTH_DEFLATING", deflated[0])
        patch.setattr(portal_text, "SMALLEST_BLOCK", deflated[1])
        patch.setattr(exposition_module, "GROUP", group)
        patch.setattr(exposition_module, "GROUP_SIZE", group_size)
        exposition.show(EXPORTER, lambda: [states[0] for states in history], label_names(newest))
        for states in history:
            for state in states[1:]:
                exposition.update(state)
        text = text_of(exposition, format_)
        assert gzip.decompress(exposition.render(format_, gzip=True)).decode() == text
    expected = reference(newest, format_, float(int(now)))
    assert families(text) == families(expected)
    assert _comments(text) == _comments(expected)


def _comments(text: str) -> list[str]:
    return sorted(line for line in text.split("\n") if line.startswith("#"))


@pytest.mark.parametrize("count", [0, 1, 400])
@pytest.mark.parametrize("format_", Format)
def test_the_text_equals_that_of_prometheus_client_for_many_keys(count: int, format_: Format) -> None:
    state = polled(*MANY[:count])
    assert families(text_of(exposition_of(state), format_)) == families(reference([state], format_))


@pytest.mark.parametrize("count", [0, 1, 400])
@pytest.mark.parametrize("format_", Format)
def test_a_gzipped_body_is_a_single_gzip_member(count: int, format_: Format) -> None:
    exposition = exposition_of(
        polled(*MANY[:count]), polled(*MANY[:count], portal=portal_at("https://b.example", name="b"))
    )
    body = exposition.render(format_, gzip=True)
    reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    assert (reader.decompress(body) + reader.flush()).decode() == text_of(exposition, format_)
    assert reader.eof
    assert reader.unused_data == b""


@pytest.mark.parametrize("format_", Format)
def test_the_text_equals_that_of_prometheus_client_for_many_portals(format_: Format) -> None:
    states = [
        polled(*MANY[number : number + 3], portal=portal_at("https://acme.example", name=f"portal {number}"))
        for number in range(130)
    ]
    exposition = exposition_of(*states)
    states[99] = polled(*MANY[:100], portal=states[99].portal)
    exposition.update(states[99])
    text = text_of(exposition, format_)
    assert families(text) == families(reference(states, format_))
    assert gzip.decompress(exposition.render(format_, gzip=True)).decode() == text


def test_text_that_stays_the_same_is_deflated_once_as_soon_as_it_is_worth_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = portal_text.portal_text(polled(*MANY), ()).series
    monkeypatch.setattr(portal_text, "WORTH_DEFLATING", 2**30)
    before = portal_text.joined([text])
    assert not any(family.block.deflated for family in before.families)
    monkeypatch.setattr(portal_text, "WORTH_DEFLATING", 0)
    first = portal_text.joined([text], before)
    second = portal_text.joined([text], first)
    blocks = [
        (one.block, other.block)
        for one, other in zip(first.families, second.families, strict=True)
        if len(one.block.text) >= portal_text.SMALLEST_BLOCK
    ]
    assert blocks
    assert all(one is other and one.deflated for one, other in blocks)


def test_gzip_reduces_the_size_to_less_than_an_eighth() -> None:
    exposition = exposition_of(polled(*MANY))
    assert len(exposition.render(Format.TEXT, gzip=True)) * 8 < len(text_of(exposition))


@pytest.mark.parametrize("format_", Format)
def test_there_are_no_created_series(format_: Format) -> None:
    process = CollectorRegistry()
    ProcessCollector(registry=process)
    GCCollector(registry=process)
    exposition = Exposition(EXPORTER, process)
    exposition.show(EXPORTER, lambda: [polled(*MANY[:3])], ())
    text = text_of(exposition, format_)
    assert "python_gc_objects_collected_total" in text
    assert "_created" not in text.replace("_created_timestamp_seconds", "")


def test_only_openmetrics_ends_with_eof() -> None:
    exposition = exposition_of(polled())
    assert text_of(exposition, Format.OPENMETRICS).endswith("\n# EOF\n")
    assert text_of(exposition, Format.OPENMETRICS).count("# EOF") == 1
    assert "# EOF" not in text_of(exposition)


def test_times_advance_in_whole_seconds() -> None:
    clock = Clock(NOW + 0.9)
    exposition = exposition_of(polled(ApiKey(id="1", expiry=NOW + 60.25)), clock=clock)
    ticking = "docspace_api_key_time_to_expiry_seconds"
    assert values(samples(text_of(exposition)), ticking) == {(): 60.25}
    clock.now = NOW + 61.1
    assert values(samples(text_of(exposition)), ticking) == {(): -0.75}


def test_scrapes_within_one_second_share_one_text_in_each_format() -> None:
    clock = Clock(NOW)
    exposition = exposition_of(polled(*MANY), clock=clock)
    for format_ in Format:
        for zipped in (True, False):
            first = exposition.render(format_, gzip=zipped)
            clock.now = NOW + 0.9
            assert exposition.render(format_, gzip=zipped) is first
            clock.now = NOW + 1
            assert exposition.render(format_, gzip=zipped) != first
            clock.now = NOW


def test_a_new_state_is_exposed_within_the_second() -> None:
    state = polled(*MANY[:2])
    exposition = exposition_of(state)
    assert values(samples(text_of(exposition)), "docspace_api_keys") == {(): 2}
    exposition.update(polled(*MANY[:1]))
    assert values(samples(text_of(exposition)), "docspace_api_keys") == {(): 1}


def test_a_new_state_of_the_exporter_is_exposed_within_the_second() -> None:
    exposition = exposition_of(polled())
    assert 'revision="\\"quoted\\""' in text_of(exposition)
    exposition.show_exporter(msgspec.structs.replace(EXPORTER, reload_successful=False))
    found = samples(text_of(exposition))
    assert values(found, "docspace_exporter_config_last_reload_successful") == {(): 0}
    assert values(found, "docspace_up") == {(): 1}


def test_the_state_of_a_portal_that_is_not_exposed_is_ignored() -> None:
    exposition = exposition_of(polled(*MANY[:1]))
    before = text_of(exposition)
    exposition.update(polled(portal=portal_at("https://other.example", name="other")))
    exposition.update(polled(portal=portal_at("https://acme.example", export_owner=False)))
    assert text_of(exposition) == before


def test_a_removed_portal_is_no_longer_exposed() -> None:
    exposition = exposition_of(polled(), polled(portal=portal_at("https://b.example", name="b")))
    exposition.show(EXPORTER, lambda: [polled()], ())
    assert values(samples(text_of(exposition)), "docspace_up", "portal") == {("acme",): 1}


def test_metrics_of_the_exporter_and_the_process_are_exposed_without_portals() -> None:
    names = {name for name, _ in samples(text_of(Exposition(EXPORTER, Process(), Clock())))}
    assert "docspace_exporter_build_info" in names
    assert "process_start_time_seconds" in names
    assert not {name for name in names if "docspace_p" in name}


def test_content_types_are_those_that_prometheus_expects() -> None:
    assert Format.TEXT.value == "text/plain; version=0.0.4; charset=utf-8"
    assert Format.OPENMETRICS.value == "application/openmetrics-text; version=1.0.0; charset=utf-8"
