"""What the environment says about proxies and CA files, as --config.check and a run report it."""

from pathlib import Path

import pytest

from tests.support.command import run_exporter
from tests.support.portals import SECRET

SOCKS = "socks5://user:hunter2@proxy.example:1080"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a configuration of two https portals and one http portal."""
    portals = [f"{{url: {url}, api_key: {SECRET}}}" for url in ("https://a.example", "https://b.example")]
    portals.append(f"{{url: http://c.example, allow_http: true, api_key: {SECRET}}}")
    (tmp_path / "config.yaml").write_text(f"portals: [{', '.join(portals)}]\n")
    return tmp_path


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_the_check_names_the_variable_of_an_unusable_proxy_once(folder: Path, variable: str) -> None:
    done = run_exporter(folder, "--config.check", **{variable: SOCKS})
    assert done.code == 1
    (line,) = done.errors
    assert line.startswith(
        f"docspace-exporter: the environment: {variable} is not the URL of an HTTP proxy: "
    )
    assert "hunter2" not in str(done.errors)


def test_an_unusable_proxy_does_not_matter_to_excepted_portals(folder: Path) -> None:
    done = run_exporter(folder, "--config.check", ALL_PROXY=SOCKS, NO_PROXY="example")
    assert (done.code, done.errors) == (0, [])


def test_a_run_names_the_variable_of_an_unusable_proxy(folder: Path) -> None:
    done = run_exporter(folder, "--once", ALL_PROXY=SOCKS)
    assert done.code == 1
    assert str(done.errors).count("ALL_PROXY is not the URL of an HTTP proxy") == 3
    assert 'docspace_poll_failures_total{portal="a.example",reason="connection"} 1.0' in done.output
    assert "hunter2" not in str(done.errors) + done.output


@pytest.mark.parametrize(("bundle", "code"), [("", 0), ("  ", 0), ("/absent", 1)])
def test_the_check_reads_the_bundle_of_the_environment_unless_it_is_empty(
    folder: Path, bundle: str, code: int
) -> None:
    done = run_exporter(folder, "--config.check", REQUESTS_CA_BUNDLE=bundle)
    assert done.code == code
    assert str(done.errors).count("/absent, which REQUESTS_CA_BUNDLE names") == code


def test_the_check_reads_no_bundle_for_http_portals(tmp_path: Path) -> None:
    done = run_exporter(
        tmp_path,
        "--config.check",
        DOCSPACE_URL="http://localhost:1",
        DOCSPACE_API_KEY=SECRET,
        REQUESTS_CA_BUNDLE="/absent",
    )
    assert (done.code, done.errors) == (0, [])


@pytest.mark.parametrize(
    "removal",
    [
        "import signal; del signal.SIGHUP",
        "import signal; del signal.pthread_sigmask",
        "import sys; sys.modules['resource'] = None",
    ],
)
def test_a_system_that_is_not_posix_is_reported_on_one_line(removal: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(removal)
    done = run_exporter(tmp_path, "--demo", "--once", PYTHONPATH=str(tmp_path))
    assert (done.code, done.output) == (1, "")
    assert done.errors == ["docspace-exporter: unsupported system: run it on Linux or another POSIX system"]
