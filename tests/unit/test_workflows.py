"""What GitHub runs: on every Python that the package is for, by targets that the Makefile has."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.processes import ROOT

WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in ROOT.glob(".github/workflows/*.yml")}
JOBS = {
    f"{file}:{name}": job for file, workflow in WORKFLOWS.items() for name, job in workflow["jobs"].items()
}
STEPS = [(name, step) for name, job in JOBS.items() for step in job.get("steps", [])]


def made(script: str) -> Iterator[str]:
    """Yield each target that a script names to make."""
    for arguments in re.findall(r"^make (.+)$", script, re.MULTILINE):
        yield from (word for word in arguments.split() if "=" not in word)


def test_the_unit_tests_run_on_every_supported_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    prefix = "Programming Language :: Python :: "
    named = [line.removeprefix(prefix) for line in project["classifiers"] if line.startswith(prefix)]
    assert JOBS["ci.yml:unit"]["strategy"]["matrix"]["python"] == named
    assert project["requires-python"] == f">={named[0]}"


def test_every_target_of_make_that_they_name_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = {target for _, step in STEPS for target in made(step.get("run", ""))}
    assert {"lint", "unit", "test", "package", "chart", "release-check"} <= named <= set(targets)


@pytest.mark.parametrize("action", sorted({step["uses"] for _, step in STEPS if "uses" in step}))
def test_every_action_is_pinned(action: str) -> None:
    assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_every_job_declares_its_permissions_and_a_timeout(job: dict[str, Any]) -> None:
    assert "permissions" in job
    assert "timeout-minutes" in job or "uses" in job


@pytest.mark.parametrize("workflow", WORKFLOWS.values(), ids=WORKFLOWS)
def test_a_job_has_only_the_permissions_it_declares(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {}
