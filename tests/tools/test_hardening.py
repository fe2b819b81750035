"""The examples of docs/hardening.md, run by the exporter, curl and Prometheus."""

import contextlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import bcrypt
import pytest
import requests
import trustme
import yaml

from tests.support import processes
from tests.support.processes import ROOT
from tests.support.tls_server import write_pair

DOCUMENT = (ROOT / "docs" / "hardening.md").read_text()
ADDRESS = "exporter.example:10059"
PASSWORD = "TLS and basic authentication"
CERTIFICATES = "Client certificates"


def examples(heading: str) -> dict[str, str]:
    """Return the files and commands under a heading; a block's first word is its file or program."""
    section = DOCUMENT.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"```(?:yaml|sh)\n(?:# )?(\S+)(.*?)```", section, re.DOTALL)
    return {name: text if name.endswith(".yml") else name + text for name, text in found}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples name stands in one folder."""
    folder = tmp_path_factory.mktemp("examples")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    write_pair(authority.issue_cert("exporter.example", "127.0.0.1"), folder / "exporter")
    write_pair(authority.issue_cert("prometheus.example"), folder / "prometheus")
    (folder / "exporter-password").write_text("example")
    return folder


@pytest.fixture(scope="module")
def addresses(folder: Path) -> Iterator[Mapping[str, str]]:
    """Where an exporter runs as described under each heading."""
    with contextlib.ExitStack() as stack:
        found = {}
        for heading in (PASSWORD, CERTIFICATES):
            path = folder / f"{heading}.yml"
            path.write_text(examples(heading)["web.yml"])
            exporter = processes.exporter(folder / heading, "--demo", f"--web.config.file={path}")
            found[heading] = stack.enter_context(exporter).url.removeprefix("http://")
        yield found


@pytest.mark.parametrize(
    ("heading", "stranger"),
    [
        (PASSWORD, "curl --cacert ca.crt --user prometheus:wrong"),
        (PASSWORD, "curl --cacert ca.crt"),
        (CERTIFICATES, "curl --cacert ca.crt"),
    ],
)
def test_curl_gets_the_metrics_only_as_the_example_shows(
    addresses: Mapping[str, str], folder: Path, heading: str, stranger: str
) -> None:
    def run(command: str) -> subprocess.CompletedProcess[str]:
        there = f"--connect-to {ADDRESS}:{addresses[heading]}"
        words = shlex.split(f"{command} {there} --silent --show-error --fail")
        return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=10, check=False)

    response = run(examples(heading)["curl"])
    assert "\ndocspace_exporter_build_info{" in response.stdout, response.stderr
    rejected = run(f"{stranger} https://{ADDRESS}/metrics")
    assert (rejected.returncode != 0, rejected.stdout) == (True, ""), rejected.stderr


def test_prometheus_scrapes_as_the_examples_say(addresses: Mapping[str, str], folder: Path) -> None:
    jobs = []
    for heading, address in addresses.items():
        config = yaml.safe_load(examples(heading)["prometheus.yml"].replace(ADDRESS, address))
        jobs += [{**job, "job_name": heading} for job in config["scrape_configs"]]
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}
    with processes.prometheus(folder, config) as prometheus:

        def scraped() -> dict[str, str]:
            response = requests.get(f"{prometheus.url}/api/v1/targets", timeout=5).json()
            targets = [one for one in response["data"]["activeTargets"] if one["health"] != "unknown"]
            health = {one["scrapePool"]: f"{one['health']} {one['lastError']}" for one in targets}
            return health if len(health) == len(jobs) else {}

        assert processes.wait_for(scraped, "a scrape of both") == dict.fromkeys(addresses, "up ")


def test_a_hash_is_created_as_documented() -> None:
    _, *arguments = shlex.split(examples(PASSWORD)["venv/bin/python"])
    made = subprocess.run(
        (sys.executable, *arguments),
        input="example\n",
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
        start_new_session=True,  # without a terminal, getpass reads stdin
    )
    assert bcrypt.checkpw(b"example", made.stdout.strip().encode())
