"""The systemd unit, installed as its comment describes and run by systemd."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from machines import Machine, booted, unpacked
from paths import ROOT, run

from docspace_exporter.demo import DemoPortal, sample_keys
from tests.support.processes import wait_for

SERVICE = "docspace-exporter.service"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Debian with the exporter and its unit installed, and neither key nor portal configured."""
    dist = tmp_path_factory.mktemp("dist")
    run("uv", "build", "--quiet", "--wheel", "--out-dir", dist)
    (wheel,) = dist.glob("*.whl")
    with unpacked() as debian:
        (debian / "tmp" / wheel.name).write_bytes(wheel.read_bytes())
        run("chroot", debian, "python3", "-m", "venv", "/opt/docspace-exporter")
        run("chroot", debian, "/opt/docspace-exporter/bin/pip", "install", "--quiet", f"/tmp/{wheel.name}")
        unit = debian / "etc/systemd/system" / SERVICE
        unit.write_bytes((ROOT / "deploy/systemd" / SERVICE).read_bytes())
        yield debian


@pytest.fixture(scope="module")
def machine(root: Path) -> Iterator[Machine]:
    """That Debian, booted with a key and its portal configured, and the service started."""
    with DemoPortal(sample_keys(datetime.now(UTC))) as portal:
        key = root / "etc/docspace-exporter/api-key"
        key.parent.mkdir()
        key.touch(mode=0o600)
        key.write_text(portal.keys[-1].secret)
        settings = f"DOCSPACE_URL={portal.url}\nOPTIONS=--web.listen-address=127.0.0.1:0\n"
        (root / "etc/default/docspace-exporter").write_text(settings)
        with booted(root) as started:
            started.run("systemctl", "start", SERVICE)
            yield started


def log(machine: Machine) -> str:
    return machine.run("journalctl", "--no-pager", "--output=cat", f"--unit={SERVICE}")


def address(machine: Machine) -> str:
    wait_for(lambda: "address=" in log(machine), "the service listening")
    return log(machine).partition("address=")[2].split()[0]


def main_process(machine: Machine) -> str:
    return machine.run("systemctl", "show", "--value", "--property=MainPID", SERVICE)


def test_it_polls_with_the_key_that_only_root_can_read(machine: Machine) -> None:
    url = f"http://{address(machine)}/metrics"
    wait_for(lambda: "\ndocspace_up{" in requests.get(url, timeout=5).text, "the first poll")
    (line,) = (
        line for line in requests.get(url, timeout=5).text.splitlines() if line.startswith("docspace_up{")
    )
    assert line.endswith(" 1.0"), log(machine)


def test_it_runs_as_its_own_user_without_a_capability(machine: Machine) -> None:
    status = machine.run("cat", f"/proc/{main_process(machine)}/status")
    fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    assert int(fields["Uid"].split()[0]) >= 61184, "the first user that systemd gives out"
    assert [int(fields[name], 16) for name in fields if name.startswith("Cap")] == [0] * 5
    assert fields["Seccomp"].strip() == "2"


def test_a_reload_reads_the_configuration_again(machine: Machine) -> None:
    loaded = log(machine).count("Configuration loaded")
    machine.run("systemctl", "reload", SERVICE)
    wait_for(lambda: log(machine).count("Configuration loaded") > loaded, "the configuration loaded again")


def test_it_stops_within_two_seconds_and_has_not_failed(machine: Machine) -> None:
    begin = time.monotonic()
    machine.run("systemctl", "stop", SERVICE)
    assert time.monotonic() - begin < 2
    assert machine.run("systemctl", "show", "--value", "--property=Result", SERVICE) == "success"
    machine.run("systemctl", "start", SERVICE)
