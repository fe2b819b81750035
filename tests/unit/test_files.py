"""Reading files, of which none is waited for and none is too large."""

import os
from pathlib import Path

import pytest

from docspace_exporter import files


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"a" * files.SIZE_LIMIT)
    assert files.read(file) == b"a" * files.SIZE_LIMIT


def test_a_link_leads_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a")
    (tmp_path / "link").symlink_to("file")
    assert files.read(tmp_path / "link") == b"a"


def test_an_endless_file_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.truncate(file, files.SIZE_LIMIT + 1)
    with pytest.raises(OSError, match="File too large"):
        files.read(file)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pipe", "it is not a regular file"),
        (".", "Is a directory"),
        ("absent", "No such file or directory"),
        ("a\0b", "its path is not valid"),
    ],
)
def test_anything_but_a_regular_file_is_rejected_at_once(tmp_path: Path, name: str, reason: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    for use in (files.read, files.check):
        with pytest.raises(OSError, match=reason) as caught:
            use(tmp_path / name)
        assert caught.value.strerror == reason
