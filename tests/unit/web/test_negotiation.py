"""Which format and coding a client gets, by its headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docspace_exporter.formats import Format
from docspace_exporter.web.negotiation import accepts_gzip, format_for

PROMETHEUS_2 = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Format.TEXT),
        ("*", Format.TEXT),
        ("*/*", Format.TEXT),
        ("text/plain", Format.TEXT),
        ("text/plain;version=0.0.4", Format.TEXT),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", Format.TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Format.TEXT),
        (PROMETHEUS_2, Format.OPENMETRICS),
        (PROMETHEUS_3, Format.OPENMETRICS),
        (PROTOBUF + PROMETHEUS_3, Format.OPENMETRICS),
        ("application/openmetrics-text", Format.OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0; Q=0.5", Format.OPENMETRICS),
        ('application/openmetrics-text; version="1.0.0"; charset=utf-8', Format.OPENMETRICS),
        ("application/openmetrics-text;version=1.0.0;version=1.0.0", Format.OPENMETRICS),
        ("application/openmetrics-text;version=x", Format.TEXT),
        ("application/openmetrics-text;version=2.0.0", Format.TEXT),
        ("application/openmetrics-text;q=0", Format.TEXT),
        ("application/openmetrics-text;q=0, */*", Format.TEXT),
        ("text/plain;q=0.5, application/openmetrics-text;q=0.4", Format.TEXT),
        ("text/plain;q=0.4, application/openmetrics-text;q=0.5", Format.OPENMETRICS),
        ("text/plain, application/openmetrics-text", Format.TEXT),
        ("application/openmetrics-text;q=much", Format.OPENMETRICS),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", Format.TEXT),
        (",;=,;;q=,", Format.TEXT),
        ("\0\xff", Format.TEXT),
    ],
)
def test_the_format_is_chosen_by_the_accept_header(accept: str, expected: Format) -> None:
    assert format_for(accept)[0] is expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "text/plain;version=0.0.4;escaping=values",
            "text/plain; version=0.0.4; charset=utf-8; escaping=values",
        ),
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8",
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        ),
        (PROMETHEUS_2, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        (PROMETHEUS_3, "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"),
        (
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text; version=0.0.1; charset=utf-8",
        ),
        (
            "application/openmetrics-text;escaping=x\r\nX-Injected: 1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ],
)
def test_the_content_type_has_the_version_and_escaping_that_the_client_asks_for(
    accept: str, expected: str
) -> None:
    assert format_for(accept)[1] == expected


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZip", True),
        ("x-gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip ; q=0.000", False),
        ("identity;q=1, gzip;q=0.5", False),
        ("identity;q=0.5, gzip;q=0.5", True),
        ("identity", False),
        ("deflate", False),
        ("*", False),
        ("*, identity;q=0", True),
        ("*;q=0", False),
    ],
)
def test_gzip_is_used_if_it_is_preferred_to_no_coding(accept_encoding: str, *, expected: bool) -> None:
    assert accepts_gzip(accept_encoding) is expected


@given(
    header=st.text(st.sampled_from('application/openmetrics-text;version=1.0,;q ="*\\'), max_size=60)
    | st.text(st.characters(max_codepoint=255))
)
def test_any_header_selects_something(header: str) -> None:
    assert format_for(header)[0] in Format
    assert accepts_gzip(header) in {True, False}
