"""A Debian booted with systemd by systemd-nspawn, which needs root."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paths import BASE, run

from tests.support.processes import wait_for


@dataclass(frozen=True)
class Machine:
    """A booted machine, in the network of this one."""

    root: Path
    init: int
    """The process that is its systemd, as seen from outside."""

    def run(self, *command: str) -> str:
        """Return what a command of root on the machine prints; raises AssertionError where it fails."""
        return run("nsenter", f"--target={self.init}", "--mount", "--pid", "--uts", "--ipc", *command).strip()


@contextlib.contextmanager
def unpacked() -> Iterator[Path]:
    """Give a Debian that nobody has booted yet."""
    with tempfile.TemporaryDirectory(prefix="machine-") as directory:
        run("tar", "--directory", directory, "--extract", "--file", BASE)
        yield Path(directory)


@contextlib.contextmanager
def booted(root: Path) -> Iterator[Machine]:
    """Boot a Debian, and shut it down at the end."""
    log = root / "boot.log"
    command = ("systemd-nspawn", f"--directory={root}", "--boot", "--register=no", "--keep-unit")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            wait_for(children.read_text, "systemd-nspawn started")
            machine = Machine(root, int(children.read_text().split()[0]))
            wait_for(lambda: _is_up(machine), "the machine up", timeout=60)
            yield machine
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def _is_up(machine: Machine) -> bool:
    try:
        return machine.run("systemctl", "is-active", "multi-user.target") == "active"
    except AssertionError:
        return False
