"""What tests of the program share."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.support.command import Outcome, run_exporter


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Outcome]:
    """Run the exporter to its end in a folder of its own, with these flags and environment variables."""
    return partial(run_exporter, tmp_path)
