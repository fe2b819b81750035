"""Where the things under test are, and running programs on them."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".build/bin"
"""Programs that the Makefile builds, because no distribution has them."""
BASE = ROOT / ".build/base.tar"
"""A Debian with Python and systemd, which the Makefile builds."""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Return what a command prints; raises AssertionError with it where the command fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} exited {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout
