"""Reads YAML files strictly. Errors name line and column, and never quote values, which may be secrets."""

import difflib
import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml

from docspace_exporter import files

_PYYAML_FAULTS = (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError)
"""What PyYAML itself may raise, for example for text that only looks like a number."""


class YamlError(Exception):
    """The file is not valid YAML; the message is one line, `path:line:column: error`."""


def read_yaml(path: Path) -> Any:
    """Return the only document in a YAML file, None if the file is empty; raises YamlError."""
    text = _read_text(path)
    try:
        return yaml.load(text, _StrictLoader)  # noqa: S506 (a SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise YamlError(f"{where}: {_message(error.problem or '')}") from None
    except yaml.reader.ReaderError as error:
        where = _position(path, text[: error.position])
        raise YamlError(f"{where}: a control character is not allowed: remove it") from None
    except RecursionError:
        raise YamlError(f"{path}: is nested too deeply") from None
    except _PYYAML_FAULTS:
        raise YamlError(f"{path}: a value cannot be read: put it in quotes") from None


def unknown_field(name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown field."""
    return f"unknown field{nearest(name, known)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` with the most similar known name; empty if none is similar."""
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
        raise YamlError(
            f"{_position(path, before)}: is not valid UTF-8: save the file in that encoding"
        ) from None


def _position(path: Path, before: str) -> str:
    return f"{path}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


_MESSAGES = {
    "expected <block end>": "invalid indentation, or a missing value in a line above",
    "mapping values are not allowed": "unexpected colon: quote the value, or correct the indentation",
    "found unexpected end of stream": "missing closing quote",
    "found character '\\t'": "tabs are not allowed: use spaces",
    "but found another document": "more than one document: keep one",
    "found undefined alias": "a value that starts with * is an alias: put it in quotes",
    "could not determine a constructor": "a value that starts with ! is a tag: put it in quotes",
    "second occurrence": "a value that starts with & is an anchor: put it in quotes",
}
_QUOTATION = re.compile(r"('<[a-z ]+>'|'.'|'\\.')|'[^']*'")


def _message(problem: str) -> str:
    """Return a message for a problem of PyYAML; of its quotations only characters and tokens are kept."""
    for start, message in _MESSAGES.items():
        if problem.startswith(start):
            return message
    return _QUOTATION.sub(lambda match: match[1] or "…", problem)


class _StrictLoader(yaml.SafeLoader):
    """Rejects duplicate keys, of which PyYAML would keep the last, and leaves dates as text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if line := seen.get((key.tag, key.value)):
                raise _error(f"duplicate key, first in line {line}: remove one", key)
            seen[key.tag, key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except _PYYAML_FAULTS:
            raise _error("value cannot be read: put it in quotes", node) from None


_StrictLoader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)


def _error(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
