"""The examples in all documents, loaded by the programs they are for."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trustme
import yaml

from docspace_exporter.config import portals
from docspace_exporter.web import config as web_config
from prometheus import customize
from tests.support.documents import Block, blocks
from tests.support.processes import ROOT
from tests.support.tls_server import write_pair

RULES = ROOT / "prometheus" / "rules.yml"


def run(*command: str | Path, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the examples, with the files that they refer to."""
    folder = tmp_path_factory.mktemp("examples")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    for name in ("exporter", "prometheus"):
        write_pair(authority.issue_cert(f"{name}.example"), folder / name)
    (folder / "exporter-password").write_text("example")
    shutil.copy(RULES, folder)
    return folder


def load_collector_configuration(path: Path) -> None:
    """Check Prometheus' part with promtool, and the names in the Collector's own part."""
    document = yaml.safe_load(path.read_text())
    part = path.with_name("prometheus-receiver.yml")
    part.write_text(yaml.safe_dump(document["receivers"]["prometheus"]["config"]))
    check_prometheus_configuration(part)
    assert document["service"]["pipelines"]["metrics"]["exporters"] == list(document["exporters"])


def check_prometheus_configuration(path: Path) -> None:
    run("promtool", "check", "config", path, folder=path.parent)


def check_alertmanager_configuration(path: Path) -> None:
    run("amtool", "check-config", path, folder=path.parent)


def check_overrides(path: Path) -> None:
    rules = yaml.safe_load(RULES.read_text())
    assert not list(customize.errors(rules, yaml.safe_load(path.read_text())))


LOADERS: Mapping[str, Callable[[Path], object]] = {
    "config.yaml": portals.load_file,
    "web.yml": web_config.load,
    "prometheus.yml": check_prometheus_configuration,
    "alertmanager.yml": check_alertmanager_configuration,
    "overrides.yml": check_overrides,
    "otel-collector.yaml": load_collector_configuration,
}
"""The program that each file is for, by the name in the first line of its block."""


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_the_program_that_a_yaml_block_is_for_accepts_it(block: Block, folder: Path) -> None:
    assert block.title in LOADERS, f"{block}: say in the first line, as a comment, which file this is"
    path = folder / block.title
    path.write_text(block.text)
    LOADERS[block.title](path)


def test_promtool_can_read_every_query(tmp_path: Path) -> None:
    rules = [{"record": f"line:{block.line}", "expr": block.text} for block in blocks("promql")]
    path = tmp_path / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "documents", "rules": rules}]}))
    run("promtool", "check", "rules", "--lint=none", path, folder=tmp_path)
