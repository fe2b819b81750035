"""What prevents a tag from being released, and how the project gets its home."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from paths import ROOT, run

PLACEHOLDER = "https://docspace-exporter" + ".example"
HOME = "https://github.com/acme/exporter"
CHART = "deploy/helm/docspace-exporter/Chart.yaml"
PACKAGE = "docspace_exporter/__init__.py"

Release = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project without a home, at version 1.2.3 everywhere."""
    files = {
        PACKAGE: '__version__ = "1.2.3"\n',
        CHART: f"version: 1.2.3\nappVersion: 1.2.3\nhome: {PLACEHOLDER}\n",
        "CHANGELOG.md": "# Changelog\n\n## 1.2.3 - 2027-01-31\n\n## 1.2.2 - 2027-01-30\n",
        "README.md": f"[Rules]({PLACEHOLDER}/blob/main/rules.yml), {PLACEHOLDER}\r\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    run("git", "init", "--quiet", cwd=tmp_path)
    run("git", "add", ".", cwd=tmp_path)
    return tmp_path


@pytest.fixture
def release(project: Path) -> Release:
    def release(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, str(ROOT / "deploy/release.py"), *arguments)
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)

    return release


def test_moving_home_rewrites_every_tracked_file(project: Path, release: Release) -> None:
    (project / "untracked").write_text(PLACEHOLDER)
    done = release("home", HOME)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == {CHART, "README.md"}
    assert (project / "README.md").read_bytes() == f"[Rules]({HOME}/blob/main/rules.yml), {HOME}\r\n".encode()
    assert yaml.safe_load((project / CHART).read_text())["home"] == HOME
    assert (project / "untracked").read_text() == PLACEHOLDER


@pytest.mark.parametrize(
    "url", ["", "github.com/acme/exporter", "https://github.com", f"{HOME}/", f"{HOME} "]
)
def test_only_the_url_of_a_repository_is_a_home(project: Path, release: Release, url: str) -> None:
    done = release("home", url)
    assert done.returncode == 1
    assert "expected a URL such as https://github.com/you/docspace-exporter" in done.stderr
    assert PLACEHOLDER in (project / "README.md").read_text()


def test_a_tag_that_everything_matches_is_released(release: Release) -> None:
    release("home", HOME)
    done = release("check", "v1.2.3")
    assert (done.returncode, done.stderr) == (0, "")


def test_without_a_home_nothing_is_released(release: Release) -> None:
    done = release("check", "v1.2.3")
    reason = "README.md has a placeholder for the project's home: run make home, see RELEASING.md"
    assert (done.returncode, done.stderr) == (1, f"{reason}\n")


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        (PACKAGE, '__version__ = "1.2.4"\n', f"__version__ in {PACKAGE} is 1.2.4: expected 1.2.3"),
        (CHART, "version: 1.2\nappVersion: 1.2.3\n", f"version in {CHART} is 1.2: expected 1.2.3"),
        (CHART, "version: 1.2.3\nappVersion: 1.2.2\n", f"appVersion in {CHART} is 1.2.2: expected 1.2.3"),
        ("CHANGELOG.md", "## Unreleased\n", "CHANGELOG.md has no heading `## 1.2.3 - YYYY-MM-DD`"),
        ("CHANGELOG.md", "## 1.2.3\n", "CHANGELOG.md has no heading `## 1.2.3 - YYYY-MM-DD`"),
    ],
)
def test_a_tag_that_something_does_not_match_is_not_released(
    project: Path, release: Release, path: str, text: str, reason: str
) -> None:
    release("home", HOME)
    (project / path).write_text(text)
    done = release("check", "v1.2.3")
    assert (done.returncode, done.stderr) == (1, f"{reason}\n")


def test_every_reason_is_given(release: Release) -> None:
    done = release("check", "v1.2.3-rc1")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 6
    assert done.stderr.startswith("the tag is 'v1.2.3-rc1': expected v1.2.3\n")


def test_outside_a_repository_nothing_is_released(project: Path, release: Release) -> None:
    shutil.rmtree(project / ".git")
    done = release("check", "v1.2.3")
    assert done.returncode == 1
    assert "not a git repository" in done.stderr


def test_rules_image_and_chart_link_to_the_home_in_the_package() -> None:
    home = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Homepage"]
    chart = yaml.safe_load((ROOT / CHART).read_text())
    runbooks = re.findall(r"runbook_url: ([^#\s]+)", (ROOT / "prometheus/rules.yml").read_text())
    assert set(runbooks) == {f"{home}/blob/main/docs/alerts.md"}
    assert [chart["home"], *chart["sources"]] == [home, home]
    assert f'org.opencontainers.image.source="{home}"' in (ROOT / "Dockerfile").read_text()
