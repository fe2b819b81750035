"""Where the memory of threads comes from."""

import ctypes
import os
import subprocess
import sys

import pytest

from docspace_exporter import malloc
from tests.support.processes import ROOT

POLL_AND_PRINT_ARENAS = """
import ctypes
from docspace_exporter import cli
cli.main(["--demo", "--once"])
ctypes.CDLL(None).malloc_stats()
"""


def test_the_threads_of_polls_share_one_arena() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", POLL_AND_PRINT_ARENAS],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "docspace_up" in done.stdout
    assert done.stderr.count("Arena ") == 1


def test_a_c_library_without_arenas_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    malloc.share_arena()
