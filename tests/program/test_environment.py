"""What the environment says about proxies and CA files, as --config.check and a run report it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.portals import SECRET
from tests.support.processes import ROOT

SOCKS = "socks5://user:hunter2@proxy.example:1080"


def run(folder: Path, *flags: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, ROOT / "exporter.py", *flags],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a configuration of two https portals and one http portal."""
    portals = [f"{{url: {url}, api_key: {SECRET}}}" for url in ("https://a.example", "https://b.example")]
    portals.append(f"{{url: http://c.example, allow_http: true, api_key: {SECRET}}}")
    (tmp_path / "config.yaml").write_text(f"portals: [{', '.join(portals)}]\n")
    return tmp_path


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_the_check_names_the_variable_of_an_unusable_proxy_once(folder: Path, variable: str) -> None:
    done = run(folder, "--config.check", **{variable: SOCKS})
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"docspace-exporter: the environment: {variable} is not the URL of an HTTP proxy: "
    )
    assert "hunter2" not in done.stderr


def test_an_unusable_proxy_does_not_matter_to_excepted_portals(folder: Path) -> None:
    done = run(folder, "--config.check", ALL_PROXY=SOCKS, NO_PROXY="example")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_names_the_variable_of_an_unusable_proxy(folder: Path) -> None:
    done = run(folder, "--once", ALL_PROXY=SOCKS)
    assert done.returncode == 1
    assert done.stderr.count("ALL_PROXY is not the URL of an HTTP proxy") == 3
    assert 'docspace_poll_failures_total{portal="a.example",reason="connection"} 1.0' in done.stdout
    assert "hunter2" not in done.stderr + done.stdout


@pytest.mark.parametrize(("bundle", "code"), [("", 0), ("  ", 0), ("/absent", 1)])
def test_the_check_reads_the_bundle_of_the_environment_unless_it_is_empty(
    folder: Path, bundle: str, code: int
) -> None:
    done = run(folder, "--config.check", REQUESTS_CA_BUNDLE=bundle)
    assert done.returncode == code
    assert done.stderr.count("/absent, which REQUESTS_CA_BUNDLE names") == code


def test_the_check_reads_no_bundle_for_http_portals(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "--config.check",
        DOCSPACE_URL="http://localhost:1",
        DOCSPACE_API_KEY=SECRET,
        REQUESTS_CA_BUNDLE="/absent",
    )
    assert (done.returncode, done.stderr) == (0, "")
