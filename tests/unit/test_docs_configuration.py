"""docs/configuration.md lists exactly what the program reads, with its defaults."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from docspace_exporter import flags
from docspace_exporter.config import exceptions, portals
from docspace_exporter.config.section import ENVIRONMENT, ConfigError, Section, field_path
from docspace_exporter.exposition import Exposition
from docspace_exporter.poller import Poller
from docspace_exporter.web import status_page
from docspace_exporter.web.endpoints import Endpoints
from docspace_exporter.web.options import WebOptions
from tests.support import documents
from tests.support.processes import ROOT
from tests.support.serving import ABOUT

DOCUMENT = documents.read("docs/configuration.md")
PACKAGE = ROOT / "docspace_exporter"
PORTAL = portals.Portal(name="", url="")
FLAGS = {option: action for action in flags._parser("")._actions for option in action.option_strings}


def first_cells(heading: str) -> list[str]:
    """Return the names in the first column of the table under a heading; a cell may have several."""
    return [name for row in DOCUMENT.tables[heading] for name in row[0].code]


def defaults(heading: str) -> dict[str, str]:
    """Return the defaults in the table under a heading, by name."""
    rows = DOCUMENT.tables[heading]
    return {row[0].code[0]: row[1].code[0] for row in rows if row[1].code}


def seconds(duration: str) -> float | None:
    return Section({"it": duration}, "", ("it",), []).duration("it")


def test_it_lists_exactly_the_flags() -> None:
    assert sorted(first_cells("Flags")) == sorted(FLAGS)


def test_it_lists_the_defaults_of_flags() -> None:
    own = {flag: action.default for flag, action in FLAGS.items() if action.nargs != 0}
    own["--config.file"] = flags.DEFAULT_CONFIG_FILE
    own["--web.listen-address"] = flags.DEFAULT_LISTEN_ADDRESS
    assert defaults("Flags") == {flag: str(default) for flag, default in own.items() if default is not None}


@pytest.mark.parametrize("flag", [flag for flag, action in FLAGS.items() if action.choices])
def test_it_lists_the_choices_of_a_flag(flag: str) -> None:
    (row,) = (row for row in DOCUMENT.tables["Flags"] if row[0].code[0] == flag)
    assert tuple(row[2].code) == tuple(FLAGS[flag].choices or ())


def test_it_lists_exactly_the_fields_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("not a mapping")
    with pytest.raises(ConfigError, match=f"the fields are {', '.join(first_cells('Configuration file'))}$"):
        portals.load_file(file)


def test_it_lists_exactly_the_fields_of_a_portal() -> None:
    assert sorted(first_cells("Fields of a portal")) == sorted(portals._PORTAL_FIELDS)


def test_it_lists_exactly_the_fields_of_an_exception() -> None:
    assert first_cells("Fields of an exception") == list(exceptions.EXCEPTION_FIELDS)
    (allow,) = (row for row in DOCUMENT.tables["Fields of an exception"] if row[0].plain == "allow")
    assert tuple(allow[2].code) == exceptions.ALLOWED


def test_it_lists_exactly_the_fields_of_tls_config() -> None:
    assert sorted(first_cells("Fields of tls_config")) == sorted(portals._TLS_FIELDS)


def test_it_lists_exactly_the_variables_of_a_portal() -> None:
    read = [field_path(ENVIRONMENT, field) for field in portals._ENVIRONMENT_FIELDS]
    assert sorted(first_cells("Environment variables")) == sorted(read)


def test_it_mentions_every_variable_that_the_program_reads() -> None:
    source = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    read = set(re.findall(r'environ(?:\.get\(|\[)"(\w+)"', source))
    assert "REQUESTS_CA_BUNDLE" in read
    assert read <= set(DOCUMENT.code)


def test_it_lists_the_defaults_of_durations() -> None:
    for heading in ("Configuration file", "Environment variables"):
        documented = {
            name.lower(): seconds(text) for name, text in defaults(heading).items() if seconds(text)
        }
        own = {name: getattr(PORTAL, name) for name in portals._Defaults._fields}
        assert documented
        assert documented == {name: own[name.removeprefix(ENVIRONMENT.lower())] for name in documented}


@pytest.mark.parametrize(
    ("heading", "struct"), [("Fields of a portal", PORTAL), ("Fields of tls_config", PORTAL.tls_config)]
)
def test_it_lists_the_defaults_of_booleans(heading: str, struct: msgspec.Struct) -> None:
    own = {name: value for name, value in msgspec.structs.asdict(struct).items() if isinstance(value, bool)}
    documented = {name: json.loads(text) for name, text in defaults(heading).items() if name in own}
    assert documented == own


def test_it_lists_exactly_the_reserved_labels() -> None:
    (documented,) = (text.code for _, text in DOCUMENT.paragraphs if text.plain.startswith("Reserved for"))
    assert {*documented} == {*portals.RESERVED_LABELS, "le", "quantile"}


def test_it_lists_exactly_the_endpoints() -> None:
    poller = Poller(lambda _: None)
    exposition = Exposition(ABOUT, CollectorRegistry())
    app = Endpoints(WebOptions(), ABOUT, poller, exposition, lambda: ()).app()
    paths = {route.path for route in app.routes if isinstance(route, Route)}
    assert set(first_cells("Endpoints")) == paths - set(status_page.STATIC_FILES)
