"""The systemd unit, checked with systemd's own tools."""

import shutil
import subprocess
from pathlib import Path

import pytest
from paths import ROOT, run

UNIT = ROOT / "deploy/systemd/docspace-exporter.service"
EXPOSURE_LIMIT = 2.0


def test_verify_finds_nothing_if_the_unit_is_installed(tmp_path: Path) -> None:
    shutil.copytree("/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    for program in ("opt/docspace-exporter/bin/docspace-exporter", "bin/kill"):
        file = tmp_path / program
        file.parent.mkdir(parents=True)
        file.touch(mode=0o755)
    installed = tmp_path / "etc/systemd/system" / UNIT.name
    installed.parent.mkdir(parents=True)
    shutil.copy(UNIT, installed)
    command = ("systemd-analyze", "verify", f"--root={tmp_path}", UNIT.name)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_its_exposure_is_low(capsys: pytest.CaptureFixture[str]) -> None:
    limit = f"--threshold={EXPOSURE_LIMIT * 10:.0f}"
    verdict = run("systemd-analyze", "security", "--offline=yes", "--no-pager", limit, UNIT)
    exposure = float(verdict.partition(f"exposure level for {UNIT.name}: ")[2].split()[0])
    with capsys.disabled():
        print(f"\nsystemd-analyze security: {exposure}")
    assert exposure <= EXPOSURE_LIMIT
