"""Reads an exposition as Prometheus would: each series with its value, none twice."""

from collections.abc import Iterable, Mapping

from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

Series = tuple[str, frozenset[tuple[str, str]]]


def samples(text: str) -> dict[Series, float]:
    """Return the series of an exposition in either format, and their values."""
    parse = parse_openmetrics if text.endswith("# EOF\n") else parse_text
    return samples_of(parse(text))


def samples_of(metrics: Iterable[Metric]) -> dict[Series, float]:
    """Return the series of metrics, and their values."""
    found: dict[Series, float] = {}
    for metric in metrics:
        for sample in metric.samples:
            series = sample.name, frozenset(sample.labels.items())
            assert series not in found, f"{series} is there twice"
            found[series] = float(sample.value)
    return found


def values(found: Mapping[Series, float], name: str, *by: str) -> dict[tuple[str, ...], float]:
    """Return the values of a metric's series by some of their labels; each label must be there."""
    chosen: dict[tuple[str, ...], float] = {}
    for (given, labels), value in found.items():
        if given == name:
            texts = dict(labels)
            key = tuple(texts[label] for label in by)
            assert key not in chosen, f"{by} do not distinguish the series of {name}"
            chosen[key] = value
    return chosen
