"""Reads a YAML file strictly; errors say where, and never quote a value, which may be a secret."""

import difflib
import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml

from docspace_exporter import files

_PYYAML_FAULTS = (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError)
"""What PyYAML raises of its own making, such as for text that only looks like a number."""


class YamlError(Exception):
    """The file cannot be read as YAML; the text is one line, `path:line:column: what`."""


def read_yaml(path: Path) -> Any:
    """Return what a YAML file of one document holds, None where it is empty; raises YamlError."""
    text = _read_text(path)
    try:
        return yaml.load(text, _StrictLoader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise YamlError(f"{where}: {_words(error.problem or '')}") from None
    except yaml.reader.ReaderError as error:
        where = _place(path, text[: error.position])
        raise YamlError(f"{where}: a control character stands here: remove it") from None
    except RecursionError:
        raise YamlError(f"{path}: is nested too deeply") from None
    except _PYYAML_FAULTS:
        raise YamlError(f"{path}: a value in it cannot be read: put it in quotes") from None


def unknown_field(name: str, known: Iterable[str]) -> str:
    """Return what to say of a field that is none of the known ones."""
    return f"unknown field{nearest(name, known)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` with the most similar known name, empty where none is similar."""
    spellings = {spelling.lower(): spelling for spelling in known}
    similar = difflib.get_close_matches(name.lower(), spellings, n=1)
    return f"; did you mean {spellings[similar[0]]}?" if similar else ""


def _read_text(path: Path) -> str:
    try:
        content = files.read(path)
    except OSError as error:
        raise YamlError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(errors="replace")
        raise YamlError(f"{_place(path, before)}: is not UTF-8: save the file in that encoding") from None


def _place(path: Path, before: str) -> str:
    return f"{path}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


_PLAIN_WORDS = {
    "expected <block end>": "the indentation is wrong here, or a line before lacks its value",
    "mapping values are not allowed": "no colon belongs here: quote the value, or mend the indentation",
    "found unexpected end of stream": "the file ends within quotes: close them",
    "found character '\\t'": "a tab stands here: use spaces",
    "but found another document": "a second document begins here: keep one",
    "found undefined alias": "what begins with * is an alias: put the value in quotes",
    "could not determine a constructor": "what begins with ! is a tag: put the value in quotes",
    "second occurrence": "what begins with & is an anchor: put the value in quotes",
}
_QUOTATION = re.compile(r"('<[a-z ]+>'|'.'|'\\.')|'[^']*'")


def _words(problem: str) -> str:
    """Return PyYAML's words; of what they quote of the file, single characters and names of tokens stay."""
    for start, words in _PLAIN_WORDS.items():
        if problem.startswith(start):
            return words
    return _QUOTATION.sub(lambda match: match[1] or "…", problem)


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key given twice, of which PyYAML keeps the last, and leaves dates as text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if line := seen.get((key.tag, key.value)):
                raise _mistake(f"this key is in line {line} already: keep one", key)
            seen[key.tag, key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except _PYYAML_FAULTS:
            raise _mistake("this value cannot be read: put it in quotes", node) from None


_StrictLoader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


def _mistake(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
