"""Where the memory of threads comes from."""

import os
import subprocess
import sys
from types import SimpleNamespace

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


@pytest.mark.parametrize("ctypes", [None, SimpleNamespace(CDLL=lambda _: object())])
def test_a_system_without_ctypes_or_arenas_is_left_as_it_is(
    ctypes: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", ctypes)
    malloc.share_arena()
