"""Reading YAML: what is rejected, with which position, and that nothing of it is quoted."""

from pathlib import Path

import pytest

from docspace_exporter.config.strict_yaml import YamlError, read_yaml, unknown_field


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"a: 1\nb: 2\na: 3", "3:1: duplicate key, first in line 1: remove one"),
        (b"{a: 1, a: 2}", "1:8: duplicate key, first in line 1: remove one"),
        (b"a: 1\n---\na: 2", "2:1: more than one document: keep one"),
        (b"a:\n\tb: 1", "2:1: tabs are not allowed: use spaces"),
        (b"a: b\nc: \xff", "2:4: is not valid UTF-8: save the file in that encoding"),
        (b"a: b\nc: \x07", "2:4: a control character is not allowed: remove it"),
        (b"a: *hunter2", "1:4: a value that starts with * is an alias: put it in quotes"),
        (b"a: !hunter2 b", "1:4: a value that starts with ! is a tag: put it in quotes"),
        (b"a: &hunter2 b\nc: &hunter2", "2:4: a value that starts with & is an anchor: put it in quotes"),
        (b"a: !hunter2!b c", "1:4: found undefined tag handle …"),
        (b"a: @hunter2", "1:4: found character '@' that cannot start any token"),
        (b"a: hunter2: b", "1:11: unexpected colon: quote the value, or correct the indentation"),
        (b"a: [hunter2", "1:12: expected ',' or ']', but got '<stream end>'"),
        (b'a: "hunter2', "1:12: missing closing quote"),
        (b"a: 0b_", "1:4: value cannot be read: put it in quotes"),
        (b"a: !!bool hunter2", "1:4: value cannot be read: put it in quotes"),
        (b"? [a]\n: b", "1:3: found unhashable key"),
        (b'a: "\\UFFFFFFFF"', "a value cannot be read: put it in quotes"),
        (b'a: "\\U00110000"', "a value cannot be read: put it in quotes"),
        (b"a: !!set [hunter2]", "a value cannot be read: put it in quotes"),
        (b"a: " + b"1:" * 3000 + b"1.5", "1:4: value cannot be read: put it in quotes"),
        (b"[" * 1000, "is nested too deeply"),
    ],
)
def test_an_error_has_its_position_and_quotes_nothing(tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "bad.yml"
    path.write_bytes(content)
    with pytest.raises(YamlError) as caught:
        read_yaml(path)
    assert str(caught.value).removeprefix(f"{path}:").strip() == error
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/nowhere.yml", "/nowhere.yml: cannot be read: No such file or directory"),
        ("/", "/: cannot be read: Is a directory"),
        ("a\0b", "a\0b: cannot be read: its path is not valid"),
        ("/dev/zero", "/dev/zero: cannot be read: it is not a regular file"),
    ],
)
def test_an_unreadable_file_is_an_error(path: str, error: str) -> None:
    with pytest.raises(YamlError) as caught:
        read_yaml(Path(path))
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"", None),
        (b"# only a comment\n", None),
        (b"\xef\xbb\xbfa: \xd0\xba\xd0\xbb\xd1\x8e\xd1\x87", {"a": "ключ"}),
        (b"a: 2026-99-99", {"a": "2026-99-99"}),
        (b"a: &b {c: 1, d: 1}\ne: {<<: *b, d: 2}", {"a": {"c": 1, "d": 1}, "e": {"c": 1, "d": 2}}),
    ],
)
def test_a_valid_file_is_read(tmp_path: Path, content: bytes, value: object) -> None:
    path = tmp_path / "good.yml"
    path.write_bytes(content)
    assert read_yaml(path) == value


def test_a_misspelt_field_is_reported_with_a_suggestion() -> None:
    assert unknown_field("portal", ["portals", "poll_interval"]) == "unknown field; did you mean portals?"
    assert unknown_field("x", ["portals", "poll_interval"]) == "unknown field"
