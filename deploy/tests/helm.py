"""What the chart renders to. As a program, writes the golden renders anew."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import yaml
from paths import ROOT, TOOLS, run

HELM = TOOLS / "helm"
CHART = ROOT / "deploy/helm/docspace-exporter"
FIXTURES = ROOT / "deploy/tests/chart"
VALUES = {
    "default": (),
    "minimal": (f"--values={FIXTURES / 'minimal.yaml'}",),
    "full": (f"--values={FIXTURES / 'full.yaml'}",),
}
"""The arguments for `helm` that give each set of values."""


def template(*arguments: str, chart: Path = CHART) -> str:
    """Return the text that `helm template` prints for a release called `acme`."""
    fixed = ("--namespace=monitoring", "--kube-version=1.31.0")
    return run(HELM, "template", "acme", chart, *fixed, *arguments)


def objects(*arguments: str) -> list[dict[str, Any]]:
    """Return the rendered Kubernetes objects."""
    return [document for document in yaml.safe_load_all(template(*arguments)) if document]


def only(kind: str, *arguments: str) -> dict[str, Any]:
    """Return the one rendered object of a kind."""
    (found,) = (document for document in objects(*arguments) if document["kind"] == kind)
    return found


def golden_file(name: str) -> Path:
    """Return where the golden render of a set of values is kept."""
    return FIXTURES / "golden" / f"{name}.yaml"


def golden_render(name: str) -> str:
    """Return a set of values rendered with rules and a dashboard of a few lines in place of the real ones."""
    with tempfile.TemporaryDirectory() as directory:
        chart = Path(directory) / "docspace-exporter"
        shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("files"))
        shutil.copytree(FIXTURES / "files", chart / "files")
        return template(*VALUES[name], chart=chart)


if __name__ == "__main__":
    for values in VALUES:
        golden_file(values).write_text(golden_render(values))
