"""The compose files, and what they mount."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from paths import ROOT, TOOLS, run

DEPLOY = ROOT / "deploy"
DEMO = ("compose.yaml",)
PORTAL = ("compose.yaml", "compose.portal.yaml")


def load(files: tuple[str, ...]) -> dict[str, Any]:
    """Return the files, checked and merged by the parser of the compose specification."""
    as_written = ("--no-interpolation", "--no-path-resolution", "--format=json")
    project: dict[str, Any] = json.loads(run(TOOLS / "compose-spec", *as_written, *files, cwd=DEPLOY))
    return project


def mounts(service: dict[str, Any]) -> dict[str, Path]:
    """Return a service's mounted files and directories by their path in the container."""
    return {
        volume["target"]: (DEPLOY / volume["source"]).resolve()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    }


@pytest.mark.parametrize("files", [DEMO, PORTAL], ids=["demo", "portal"])
def test_the_specification_accepts_it_and_all_it_mounts_exists(files: tuple[str, ...]) -> None:
    services = load(files)["services"]
    assert services.keys() == {"exporter", "prometheus", "alertmanager", "grafana"}
    for service in services.values():
        for source in mounts(service).values():
            assert source.exists(), source


def test_every_port_is_published_on_loopback_only() -> None:
    ports = [port for service in load(DEMO)["services"].values() for port in service["ports"]]
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


def test_the_demo_needs_nothing_else() -> None:
    assert load(DEMO)["services"]["exporter"]["command"] == ["--demo"]


def test_a_real_portal_has_its_key_as_a_secret_where_the_exporter_looks_for_it() -> None:
    project = load(PORTAL)
    exporter = project["services"]["exporter"]
    assert exporter["command"] == []
    (secret,) = exporter["secrets"]
    assert secret["target"] == exporter["environment"]["DOCSPACE_API_KEY_FILE"]
    assert secret["source"] in project["secrets"]


def test_prometheus_loads_its_files_and_scrapes_the_exporter(tmp_path: Path) -> None:
    services = load(DEMO)["services"]
    for target, source in mounts(services["prometheus"]).items():
        shutil.copy(source, tmp_path / Path(target).name)
    checked = run("promtool", "check", "config", tmp_path / "prometheus.yml")
    assert "rule files found" in checked
    config = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    (alertmanagers,) = config["alerting"]["alertmanagers"]
    assert job["static_configs"] == [{"targets": ["exporter:10059"]}]
    assert alertmanagers["static_configs"] == [{"targets": ["alertmanager:9093"]}]
    assert {"exporter", "alertmanager"} <= services.keys()


def test_alertmanager_accepts_its_configuration_with_its_templates(tmp_path: Path) -> None:
    for target, source in mounts(load(DEMO)["services"]["alertmanager"]).items():
        shutil.copy(source, tmp_path / Path(target).name)
    assert "1 templates" in run("amtool", "check-config", tmp_path / "alertmanager.yml")


def test_grafana_provisions_the_dashboard_and_opens_with_it() -> None:
    services = load(DEMO)["services"]
    mounted = mounts(services["grafana"])
    provisioning = mounted["/etc/grafana/provisioning"]
    (provider,) = (
        provider
        for file in provisioning.glob("dashboards/*.y*ml")
        for provider in yaml.safe_load(file.read_text())["providers"]
    )
    home = Path(services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert (mounted[provider["options"]["path"]] / home.name).exists()


def test_grafana_asks_the_prometheus_of_the_project() -> None:
    provisioning = mounts(load(DEMO)["services"]["grafana"])["/etc/grafana/provisioning"]
    (source,) = (
        source
        for file in provisioning.glob("datasources/*.y*ml")
        for source in yaml.safe_load(file.read_text())["datasources"]
    )
    assert source["url"] == "http://prometheus:9090"
