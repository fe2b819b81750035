"""Runs the tests on other Pythons, and with the oldest dependencies; prints how many passed on each.

`python tests/pythons.py [NAME ...] -- PYTEST-ARGUMENT ...`. A name is one of
- a version, such as `3.13`: one on PATH or in pyenv, otherwise Debian's
- a suite of Debian, such as `trixie`: the Python in it
- `current`: the Python of .venv
- `oldest`: Python 3.11 with the oldest dependencies that pyproject.toml allows

Every name given must be found. Without names, the required ones must be, and all other Pythons found run too.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[1]
BUILD = PROJECT / ".build/pythons"
UV = PROJECT / ".venv/bin/uv"

REQUIRED = ("current", "3.11.2", "3.13", "oldest")
FURTHER = ("trixie", "sid")
SUITES = {"bookworm": "3.11.2", "trixie": "3.13", "sid": "3.14"}
"""Debian's suites, and the version of Python in each."""

IDENTIFY = """
import platform, sys
print(platform.python_version(), sys.executable)
sys.exit(sys.version_info < (3, 11))
"""

ENTER = """
base=$1 root=$2 user=$3 project=$4 cache=$5; shift 5
mount -t tmpfs tmpfs "$root"
tar --extract --directory "$root" --file "$base"
cp --dereference /etc/hosts /etc/resolv.conf "$root/etc/"
for place in /dev /proc "$project" "$cache"; do
  mkdir -p "$root$place"
  mount --bind "$place" "$root$place"
done
exec chroot --userspec="$user" "$root" env --chdir="$project" UV_CACHE_DIR="$cache" "$@"
"""
"""Runs a command in a Debian as the same user; a mount namespace of its own leaves nothing mounted."""


class Run(NamedTuple):
    """A run of the tests on one interpreter, which is in a Debian of its own if a suite is given."""

    name: str
    python: str
    suite: str = ""

    @property
    def folder(self) -> Path:
        """Where its virtual environment and its log are."""
        return BUILD / self.name

    def execute(self, *command: str | Path) -> bool:
        """Run a command beside the interpreter; returns whether it succeeded."""
        enter = _enter(self.suite, self.folder / "root") if self.suite else []
        environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(self.folder / "venv")}
        with (self.folder / "log").open("ab") as log:
            done = subprocess.run(
                [*enter, *command], cwd=PROJECT, env=environment, stdout=log, stderr=log, check=False
            )
        return done.returncode == 0


def installed() -> dict[str, str]:
    """Return the path of each version of Python on PATH and in pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found: dict[str, str] = {}
    for folder in (*map(Path, os.get_exec_path()), *pyenv.glob("versions/*/bin")):
        for file in (path for path in folder.glob("python3*") if re.fullmatch(r"python3(\.\d+)?", path.name)):
            response = subprocess.run(
                [file, "-I", "-c", IDENTIFY], capture_output=True, text=True, check=False
            )
            if response.returncode == 0:  # a shim of pyenv may have no Python behind it
                version, path = response.stdout.strip().split(" ", 1)
                found.setdefault(version, os.path.realpath(path))
    return found


def find(name: str, pythons: Mapping[str, str]) -> Run | None:
    """Return the run that a name stands for; None if there is no such Python."""
    if name == "current":
        return Run(name, os.path.realpath(sys.executable))
    wanted = "3.11" if name == "oldest" else name
    for version, path in pythons.items():
        if _fits(version, wanted):
            return Run(name, path)
    for suite, version in SUITES.items():
        if wanted == suite or _fits(version, wanted):
            made = subprocess.run(["make", f".build/{suite}.tar"], cwd=PROJECT, check=False)
            return None if made.returncode else Run(name, "/usr/bin/python3", suite)
    return None


def _fits(version: str, wanted: str) -> bool:
    return f"{version}.".startswith(f"{wanted}.")


def _enter(suite: str, root: Path) -> list[str]:
    root.mkdir(exist_ok=True)
    cache = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    given = PROJECT / f".build/{suite}.tar", root, f"{os.getuid()}:{os.getgid()}", PROJECT, cache
    sudo = ["sudo", "--preserve-env"] if os.getuid() else []
    return [*sudo, "unshare", "--mount", "sh", "-euc", ENTER, "sh", *map(str, given)]


def set_up(run: Run) -> bool:
    """Create the virtual environment, with the locked or the oldest dependencies; returns if it could."""
    python = f"--python={run.python}"
    if run.name != "oldest":
        return run.execute(UV, "sync", "--quiet", "--locked", python)
    oldest, tools, venv = (run.folder / name for name in ("oldest.txt", "tools.txt", "venv"))
    lowest = ("--quiet", "--resolution=lowest-direct", python, "--output-file", oldest, "pyproject.toml")
    locked = ("--quiet", "--locked", "--only-group=dev", "--no-hashes", "--output-file", tools)
    both = ("--quiet", "--python", venv / "bin/python", "--overrides", oldest, "--requirements", tools)
    return (
        run.execute(UV, "pip", "compile", *lowest)
        and run.execute(UV, "export", *locked)
        and run.execute(UV, "venv", "--quiet", "--clear", python, venv)
        and run.execute(UV, "pip", "install", *both, "--editable", ".")
    )


class Result(NamedTuple):
    """A row of the table."""

    interpreter: str
    place: str = "-"
    passed: str = "-"
    failed: str = "-"


def test(run: Run, arguments: Sequence[str]) -> Result:
    """Run the tests, and print what failed as soon as they have ended."""
    run.folder.mkdir(parents=True, exist_ok=True)
    log = run.folder / "log"
    log.unlink(missing_ok=True)
    pytest = (run.folder / "venv/bin/python", "-m", "pytest", "-p", "no:cacheprovider")
    succeeded = set_up(run) and run.execute(*pytest, *arguments)
    text = log.read_text(errors="replace")
    if not succeeded:
        print(f"\n{run.name}, the end of {log}:", *text.splitlines()[-30:], sep="\n", flush=True)
    version = re.search(r"^platform .* -- Python ([^,]+)", text, re.MULTILINE)
    counts = {word: int(count) for count, word in re.findall(r"(\d+) (passed|failed|error)", text[-200:])}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    return Result(
        f"{version[1] if version else run.name}{' and the oldest dependencies' * (run.name == 'oldest')}",
        f"{run.suite or Path(run.python).parent}",
        str(counts.get("passed", 0)),
        str(failed) if failed or succeeded else "not run",
    )


def main(names: Sequence[str], arguments: Sequence[str]) -> int:
    """Run the tests on each Python and print the table; returns the exit code."""
    pythons = installed()
    runs: dict[tuple[bool, str, str], Run] = {}
    missing = []
    for name in names or (*REQUIRED, *pythons, *FURTHER):
        if run := find(name, pythons):
            runs.setdefault((name == "oldest", run.python, run.suite), run)
        elif name in (names or REQUIRED):
            missing.append(Result(name, failed="missing"))
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        results = [*workers.map(partial(test, arguments=arguments), runs.values()), *missing]
    print()
    for row in (Result("interpreter", "in", "passed", "failed"), *results):
        print(f"{row.interpreter:<34} {row.place:<40} {row.passed:>6} {row.failed:>7}")
    return int(any(result.failed != "0" for result in results))


if __name__ == "__main__":
    end = sys.argv.index("--")
    sys.exit(main(sys.argv[1:end], sys.argv[end + 1 :]))
