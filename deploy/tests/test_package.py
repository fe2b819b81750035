"""The Python package: built, installed in an empty environment, and run."""

import os
import subprocess
import tarfile
import venv
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from packaging.metadata import RawMetadata, parse_email
from packaging.version import Version
from paths import ROOT, run
from prometheus_client.parser import text_string_to_metric_families as parse

from docspace_exporter import __version__
from tests.support import documents


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel built from it."""
    directory = tmp_path_factory.mktemp("dist")
    run("make", "package", f"DIST={directory}")
    (sdist,) = directory.glob("*.tar.gz")
    (wheel,) = directory.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def metadata(distributions: tuple[Path, Path]) -> RawMetadata:
    """The metadata that the package index gets."""
    with zipfile.ZipFile(distributions[1]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return parse_email(wheel.read(name))[0]


def source_files() -> set[str]:
    package = ROOT / "docspace_exporter"
    files = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(ROOT)) for path in files}


def test_the_wheel_holds_the_package_whole_and_nothing_else(distributions: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(distributions[1]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == source_files()
    assert "docspace_exporter/web/templates/status.html" in names
    assert "docspace_exporter/web/static/status.css" in names


def test_the_sdist_holds_what_the_package_is_built_from(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert source_files() | {"pyproject.toml", "README.md", "LICENSE"} <= names


def test_both_have_the_version_of_the_program(distributions: tuple[Path, Path]) -> None:
    for path in distributions:
        assert Version(path.name.removesuffix(".tar.gz").split("-")[1]) == Version(__version__)


def test_twine_finds_nothing(distributions: tuple[Path, Path]) -> None:
    said = run("twine", "--no-color", "check", "--strict", *distributions)
    assert said.count("PASSED") == 2


def test_the_index_knows_where_the_project_is(metadata: RawMetadata) -> None:
    urls = metadata["project_urls"]
    assert urls.keys() == {"Homepage", "Documentation", "Changelog", "Issues", "Source"}
    assert {urlsplit(url).scheme for url in urls.values()} == {"https"}
    assert [url for url in urls.values() if not url.startswith(urls["Homepage"])] == []


def test_on_the_index_the_links_and_pictures_of_the_readme_lead_to_the_project(
    metadata: RawMetadata, tmp_path: Path
) -> None:
    home = metadata["project_urls"]["Homepage"]
    shown = tmp_path / "README.md"
    shown.write_text(metadata["description"])
    expected = [
        link if urlsplit(link).scheme else f"{home}/{'raw' if link.endswith('.png') else 'blob'}/main/{link}"
        for link in links("README.md")
    ]
    assert f"{home}/raw/main/docs/status-page.png" in expected
    assert links(str(shown)) == expected


def links(document: str) -> list[str]:
    return [link for text in documents.read(document).texts for link in text.links]


def test_in_a_clean_environment_it_prints_the_exposition_of_the_demo(
    distributions: tuple[Path, Path], tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    run(tmp_path / "venv/bin/pip", "install", "--quiet", distributions[1])
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DOCSPACE_"))
    }
    done = subprocess.run(
        (tmp_path / "venv/bin/docspace-exporter", "--demo", "--once"),
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    up = [
        sample for family in parse(done.stdout) if family.name == "docspace_up" for sample in family.samples
    ]
    assert [(sample.labels, sample.value) for sample in up] == [({"portal": "demo"}, 1)]


def test_the_lock_file_is_current() -> None:
    run("uv", "lock", "--check")
