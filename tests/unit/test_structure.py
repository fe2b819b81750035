"""The package has the structure in CONTRIBUTING.md: layers, no circular imports, no long modules."""

import subprocess
import sys

import pytest

from tests.support import modules
from tests.support.processes import ROOT

RANKS = {name: rank for rank, layer in enumerate(modules.layers()) for name in layer}
LONGEST_MODULE = 310
LONGEST_TEST_MODULE = 410


def test_the_diagram_has_every_module_once() -> None:
    drawn = [name for layer in modules.layers() for name in layer]
    assert sorted(drawn) == sorted(modules.names())


@pytest.mark.parametrize("name", modules.names())
def test_modules_import_only_from_lower_layers(name: str) -> None:
    assert [target for target in modules.imports()[name] if RANKS[target] < RANKS[name]] == []


def test_there_are_no_circular_imports() -> None:
    assert modules.cycle({"a": {"b"}, "b": {"a"}, "c": {"a"}}) == ["a", "b", "c"]
    assert modules.cycle(modules.imports()) == []


def test_the_table_of_modules_is_current() -> None:
    assert modules.written_table() == modules.table(), "run `make module-table`"


def test_no_module_is_too_long() -> None:
    def long(folder: str, limit: int) -> list[str]:
        paths = (ROOT / folder).rglob("*.py")
        return [str(path) for path in paths if len(path.read_text().splitlines()) > limit]

    assert long("docspace_exporter", LONGEST_MODULE) == []
    assert long("grafana", LONGEST_MODULE) == []
    assert long("tests", LONGEST_TEST_MODULE) == []


def test_parsing_flags_loads_no_web_server() -> None:
    code = "import sys, docspace_exporter.flags as flags; flags.parse([], ''); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "docspace_exporter" in loaded
    assert not loaded & {"starlette", "h11", "jinja2", "bcrypt", "requests", "prometheus_client"}
