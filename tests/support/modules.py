"""The modules of the package, and what each of them imports.

`python -m tests.support.modules` writes the table in CONTRIBUTING.md.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.processes import ROOT

PACKAGE = ROOT / "docspace_exporter"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
_TABLE = re.compile(r"(<!-- modules[^\n]*-->\n).*?(<!-- end of modules -->)", re.DOTALL)
_LAYERS = re.compile(r"<!-- layers -->\n```\n(.*?)```", re.DOTALL)


def names() -> dict[str, Path]:
    """Return the path of each module by its dotted name within the package."""
    paths = sorted(PACKAGE.rglob("*.py"))
    found = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in paths}
    return {name: path for name, path in found.items() if not name.endswith("__init__")}


def imports() -> dict[str, set[str]]:
    """Return the modules of the package that each module imports."""
    return {name: set(_imported(path)) & names().keys() for name, path in names().items()}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            module = (node.module or "").removeprefix(PACKAGE.name).removeprefix(".")
            yield module
            yield from (f"{module}.{alias.name}".removeprefix(".") for alias in node.names)


def layers() -> Sequence[Sequence[str]]:
    """Return the modules in each line of the diagram in CONTRIBUTING.md, top line first."""
    match = _LAYERS.search(CONTRIBUTING.read_text())
    assert match, "CONTRIBUTING.md has no diagram of the layers"
    lines = [line.split() for line in match[1].splitlines()]
    return [
        [words[0].replace("/", f".{word}") for word in words[1:]] if words[0].endswith("/") else words
        for words in lines
    ]


def table() -> str:
    """Return the table of modules: line counts rounded to tens, and the first paragraph of each docstring."""
    rows = [f"| `{_shown(name)}` | {_lines(path)} | {_job(path)} |\n" for name, path in names().items()]
    return "".join(["| module | lines | job |\n|---|---|---|\n", *rows])


def written_table() -> str:
    """Return the table that CONTRIBUTING.md contains."""
    match = _TABLE.search(CONTRIBUTING.read_text())
    assert match, "CONTRIBUTING.md has no table of modules"
    return match[0].removeprefix(match[1]).removesuffix(match[2])


def _shown(name: str) -> str:
    return f"{name.replace('.', '/')}.py"


def _lines(path: Path) -> int:
    return max(10, round(len(path.read_text().splitlines()), -1))


def _job(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(docstring.split("\n\n")[0].split()).replace("|", "\\|")


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the modules that are part of a circular import, or depend on one; empty if there is none."""
    left = {name: set(targets) for name, targets in graph.items()}
    while free := {name for name, targets in left.items() if not targets & left.keys()}:
        left = {name: targets for name, targets in left.items() if name not in free}
    return sorted(left)


if __name__ == "__main__":
    text = CONTRIBUTING.read_text()
    CONTRIBUTING.write_text(_TABLE.sub(lambda match: f"{match[1]}{table()}{match[2]}", text))
