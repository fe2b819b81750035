"""The exporter as a command that runs to its end, and configurations for it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.portals import SECRET
from tests.support.processes import ROOT

EXPORTER = (sys.executable, str(ROOT / "exporter.py"))


class Outcome:
    """Exit code and output of a run."""

    def __init__(self, done: "subprocess.CompletedProcess[bytes]") -> None:
        self.code = done.returncode
        self.output = done.stdout.decode()
        self.errors = done.stderr.decode().splitlines()


def write_config(folder: Path, *urls: str, **fields: str) -> Path:
    """Write a configuration of these portals, to `config.yaml`, and return its path."""
    given = "".join(f", {field}: {value}" for field, value in {"api_key": SECRET, **fields}.items())
    lines = [f"  - {{url: '{url}', name: p{number}{given}}}\n" for number, url in enumerate(urls)]
    path = folder / "config.yaml"
    path.write_text("portals:\n" + "".join(lines))
    return path


def run_exporter(folder: Path, *flags: str, **environment: str) -> Outcome:
    """Run the exporter to its end in a folder, with these flags and environment variables."""
    return Outcome(
        subprocess.run(
            [*EXPORTER, *flags],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
    )
