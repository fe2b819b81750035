"""Moves the project to its home: `release.py home URL`. Checks a tag: `release.py check v1.2.3`."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

PLACEHOLDER = r"https://docspace-exporter[.]example"
"""Stands for the project's home until it has one. As a pattern it does not match itself."""
PACKAGE = Path("docspace_exporter/__init__.py")
CHART = Path("deploy/helm/docspace-exporter/Chart.yaml")
CHANGELOG = Path("CHANGELOG.md")


def main(arguments: list[str]) -> None:
    """Do what the arguments say; exits 1 and says why where that is impossible."""
    match arguments:
        case ["home", url]:
            move_home(url)
        case ["check", tag]:
            if reasons := list(obstacles(tag)):
                sys.exit("\n".join(reasons))
        case _:
            sys.exit(__doc__)


def move_home(url: str) -> None:
    """Put a URL in place of the placeholder, in every tracked file."""
    if not re.fullmatch(r"https://[\w.-]+(/[\w.-]+)+", url):
        sys.exit(f"HOME_URL is {url!r}: expected a URL such as https://github.com/you/docspace-exporter")
    for path in homeless_files():
        path.write_bytes(re.sub(PLACEHOLDER.encode(), url.encode(), path.read_bytes()))
        print(path)


def obstacles(tag: str) -> Iterator[str]:
    """Yield each reason not to release the tag."""
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        yield f"the tag is {tag!r}: expected v1.2.3"
    wanted = tag.removeprefix("v")
    for place, version in versions().items():
        if version != wanted:
            yield f"{place} is {version}: expected {wanted}"
    heading = rf"^## {re.escape(wanted)} - \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, CHANGELOG.read_text(), re.MULTILINE):
        yield f"{CHANGELOG} has no heading `## {wanted} - YYYY-MM-DD`"
    if homeless := homeless_files():
        yield f"{homeless[0]} has a placeholder for the project's home: run make home, see RELEASING.md"


def versions() -> dict[str, str]:
    """Return the versions of the program and of the chart, by where each stands."""
    (program,) = re.findall(r'^__version__ = "(.+)"$', PACKAGE.read_text(), re.MULTILINE)
    chart = yaml.safe_load(CHART.read_text())
    return {
        f"__version__ in {PACKAGE}": program,
        f"version in {CHART}": str(chart["version"]),
        f"appVersion in {CHART}": str(chart["appVersion"]),
    }


def homeless_files() -> list[Path]:
    """Return the tracked files that have the placeholder."""
    command = ("git", "grep", "--files-with-matches", "-I", "-e", PLACEHOLDER)
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if found.returncode > 1:
        sys.exit(found.stderr)
    return [Path(line) for line in found.stdout.splitlines()]


if __name__ == "__main__":
    main(sys.argv[1:])
