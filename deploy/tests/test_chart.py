"""The Helm chart: what it renders, and that others accept it."""

import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm
import pytest
import yaml
from paths import ROOT, run

from docspace_exporter import __version__
from docspace_exporter.config.portals import load_file

OPERATOR_KINDS = {"PodMonitor", "PrometheusRule", "ServiceMonitor"}
"""Not Kubernetes' own: kubernetes-validate has no schema for them."""
EVERY_VALUES = pytest.mark.parametrize("arguments", helm.VALUES.values(), ids=list(helm.VALUES))


def pod(*arguments: str) -> dict[str, Any]:
    spec: dict[str, Any] = helm.only("Deployment", *arguments)["spec"]["template"]["spec"]
    return spec


def container(*arguments: str) -> dict[str, Any]:
    (found,) = pod(*arguments)["containers"]
    assert isinstance(found, dict)
    return found


@EVERY_VALUES
def test_lint_finds_nothing(arguments: tuple[str, ...]) -> None:
    printed = run(helm.HELM, "lint", "--strict", "--quiet", helm.CHART, *arguments)
    assert "WARNING" not in printed
    assert "ERROR" not in printed


@pytest.mark.parametrize("name", helm.VALUES)
def test_the_render_is_the_golden_one(name: str) -> None:
    assert helm.golden_render(name) == helm.golden_file(name).read_text(), (
        "if this is intended: make chart-golden"
    )


@pytest.mark.parametrize("version", ["1.25", "1.37"])
@EVERY_VALUES
def test_kubernetes_accepts_its_objects(arguments: tuple[str, ...], version: str, tmp_path: Path) -> None:
    file = tmp_path / "objects.yaml"
    file.write_text(helm.template(*arguments))
    printed = run("kubernetes-validate", "--strict", f"--kubernetes-version={version}", file)
    own = [document for document in helm.objects(*arguments) if document["kind"] not in OPERATOR_KINDS]
    assert printed.count(" passed for resource ") == len(own)


@pytest.mark.parametrize("arguments", list(helm.VALUES.values())[1:], ids=list(helm.VALUES)[1:])
def test_the_exporter_accepts_the_rendered_configuration(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (secret,) = (
        document for document in helm.objects(*arguments) if document["metadata"]["name"].endswith("-config")
    )
    file = tmp_path / "config.yaml"
    file.write_text(secret["stringData"]["config.yaml"])
    portal = load_file(file).portals[0]
    assert portal.url == "https://acme.onlyoffice.com"
    assert portal.api_key_file == Path("/run/secrets/docspace/acme")


def test_without_a_portal_it_exports_the_demo() -> None:
    assert container()["args"] == ["--demo"]


@EVERY_VALUES
def test_pods_meet_the_restricted_security_standard(arguments: tuple[str, ...]) -> None:
    spec = pod(*arguments)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert all(volume.keys() & {"secret", "projected", "configMap"} for volume in spec.get("volumes", []))
    context = container(*arguments)["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}


@EVERY_VALUES
def test_pods_have_no_service_account_token(arguments: tuple[str, ...]) -> None:
    assert pod(*arguments)["automountServiceAccountToken"] is False
    assert helm.only("ServiceAccount", *arguments)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_a_rotated_key_reaches_the_pod_without_a_restart(name: str) -> None:
    arguments = helm.VALUES[name]
    mounts = {mount["name"]: mount for mount in container(*arguments)["volumeMounts"]}
    assert mounts["api-keys"]["mountPath"] == "/run/secrets/docspace"
    assert all("subPath" not in mount for mount in mounts.values())
    rotated = (*arguments, "--set=apiKeys.existingSecret=,apiKeys.entries.acme=sk-rotated")
    assert (
        helm.only("Deployment", *rotated)["spec"]["template"]["metadata"]
        == (helm.only("Deployment", *arguments)["spec"]["template"]["metadata"])
    )


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_secrets_are_readable_by_the_group_of_the_exporter_only(name: str) -> None:
    spec = pod(*helm.VALUES[name])
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"]
    modes = [
        (volume.get("secret") or volume["projected"])["defaultMode"]
        for volume in spec["volumes"]
        if "configMap" not in volume
    ]
    assert modes == [0o440] * len(modes)


def test_a_changed_configuration_restarts_the_pods() -> None:
    changed = (*helm.VALUES["minimal"], "--set=config.poll_interval=1m")
    assert (
        helm.only("Deployment", *changed)["spec"]["template"]["metadata"]
        != (helm.only("Deployment", *helm.VALUES["minimal"])["spec"]["template"]["metadata"])
    )


@pytest.mark.parametrize(("tls", "scheme"), [("false", "HTTP"), ("true", "HTTPS")])
def test_probes_use_https_if_the_web_configuration_enables_tls(tls: str, scheme: str) -> None:
    exporter = container(f"--set=webConfig.secrets={{web}},webConfig.tls={tls}")
    assert exporter["livenessProbe"]["httpGet"] == {"path": "/-/healthy", "port": "metrics", "scheme": scheme}
    assert exporter["readinessProbe"]["httpGet"] == {"path": "/-/ready", "port": "metrics", "scheme": scheme}


def test_probes_only_connect_if_clients_need_a_certificate() -> None:
    exporter = container("--set=webConfig.secrets={web},webConfig.tls=true,webConfig.clientCertificates=true")
    assert exporter["livenessProbe"] == exporter["readinessProbe"] == {"tcpSocket": {"port": "metrics"}}


@pytest.mark.parametrize(
    ("kind", "endpoints"), [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")]
)
def test_the_monitor_selects_what_the_chart_creates(kind: str, endpoints: str) -> None:
    arguments = ("--set=monitor.enabled=true", f"--set=monitor.kind={kind}")
    spec = helm.only(kind, *arguments)["spec"]
    assert spec[endpoints] == [{"port": "metrics", "scheme": "http"}]
    labels = spec["selector"]["matchLabels"].items()
    assert labels <= helm.only("Service", *arguments)["metadata"]["labels"].items()
    assert labels <= helm.only("Deployment", *arguments)["spec"]["template"]["metadata"]["labels"].items()


def test_the_dashboard_is_the_one_of_the_repository() -> None:
    config_map = helm.only("ConfigMap", "--set=dashboard.enabled=true")
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    source = (ROOT / "grafana/dashboards/docspace-api-keys.json").read_text()
    assert json.loads(config_map["data"]["docspace-api-keys.json"]) == json.loads(source)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("replica=2", "additional properties 'replica' not allowed"),
        ("config.portals[0].name=acme", "missing property 'url'"),
        (
            "apiKeys.existingSecret=keys,apiKeys.entries.acme=sk-1",
            "existingSecret and entries are both set",
        ),
        ("prometheusRule.alerts.DocSpacePortalDown.for=5x", "does not match pattern"),
        ("prometheusRule.extraLabels.portal=x", "at '/prometheusRule/extraLabels/portal'"),
        ("prometheusRule.extraLabels.a-b=x", "additional properties 'a-b' not allowed"),
        (
            "prometheusRule.enabled=true,prometheusRule.alerts.DocSpaceDown.for=5m",
            "prometheusRule.alerts: unknown alert DocSpaceDown",
        ),
        (
            "prometheusRule.enabled=true,prometheusRule.disabled.DocSpaceDown=true",
            "prometheusRule.disabled: unknown alert DocSpaceDown",
        ),
    ],
    ids=[
        *("misspelt_value", "portal_without_url", "keys_set_twice", "invalid_duration", "reserved_label"),
        *("invalid_label", "unknown_alert", "unknown_alert_disabled"),
    ],
)
def test_invalid_values_are_rejected(setting: str, message: str) -> None:
    command = (str(helm.HELM), "template", str(helm.CHART), "--kube-version=1.31.0", f"--set={setting}")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert message in done.stderr


def test_every_value_has_a_schema_and_a_default() -> None:
    schema = json.loads((helm.CHART / "values.schema.json").read_text())
    values = yaml.safe_load((helm.CHART / "values.yaml").read_text())
    assert schema["properties"].keys() - {"global"} == values.keys()


def test_the_table_of_values_has_all_of_them_with_their_defaults() -> None:
    text = (helm.CHART / "README.md").read_text()
    rows = re.findall(r"^\| `([\w.]+)` \| (.+?) \|", text, re.MULTILINE)
    values = dict(leaves("", yaml.safe_load((helm.CHART / "values.yaml").read_text())))
    assert [name for name, _ in rows] == list(values)
    described = {"podSecurityContext", "securityContext"}
    for name, default in rows:
        assert name in described or yaml.safe_load(default.strip("`")) == values[name]


def leaves(prefix: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each value with its path; what Kubernetes, Grafana or the exporter defines is one value."""
    whole = {"config", "dashboard.labels", "resources", "podSecurityContext", "securityContext"}
    for name, value in values.items():
        path = prefix + name
        if isinstance(value, dict) and value and path not in whole:
            yield from leaves(f"{path}.", value)
        else:
            yield path, value


def test_full_values_leave_no_value_at_its_default() -> None:
    default = yaml.safe_load((helm.CHART / "values.yaml").read_text())
    full = yaml.safe_load((helm.FIXTURES / "full.yaml").read_text())
    assert [name for name in default if default[name] == full.get(name, default[name])] == []


def test_a_name_override_stays_in_the_name_and_the_labels() -> None:
    deployment = helm.only("Deployment", "--set=nameOverride=keys")
    assert deployment["metadata"]["name"] == "acme-keys"
    assert deployment["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] == "keys"
    assert helm.only("Deployment", "--set=fullnameOverride=keys")["metadata"]["name"] == "keys"


def test_the_icon_and_the_screenshot_are_in_the_repository() -> None:
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    (screenshot,) = yaml.safe_load(chart["annotations"]["artifacthub.io/screenshots"])
    for url in (chart["icon"], screenshot["url"]):
        home, _, path = url.partition("/raw/main/")
        assert home == chart["home"]
        assert (ROOT / path).exists()


def test_the_chart_has_the_version_of_the_program() -> None:
    chart = yaml.safe_load((helm.CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == chart["version"] == __version__


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tarfile.TarFile]:
    directory = tmp_path_factory.mktemp("dist")
    run("make", "chart", f"DIST={directory}", "IMAGE=registry.example/exporter")
    with tarfile.open(directory / f"docspace-exporter-{__version__}.tgz") as package:
        yield package


def member(package: tarfile.TarFile, name: str) -> bytes:
    file = package.extractfile(f"docspace-exporter/{name}")
    assert file is not None
    return file.read()


def test_its_package_holds_the_rules_and_the_dashboard_of_the_repository(package: tarfile.TarFile) -> None:
    for name, source in (
        ("rules.yml", "prometheus/rules.yml"),
        ("docspace-api-keys.json", "grafana/dashboards/docspace-api-keys.json"),
    ):
        assert member(package, f"files/{name}") == (ROOT / source).read_bytes()


def test_its_package_runs_the_image_it_is_published_with(package: tarfile.TarFile) -> None:
    published = yaml.safe_load(member(package, "values.yaml"))
    own = yaml.safe_load((helm.CHART / "values.yaml").read_text())
    assert published["image"].pop("repository") == "registry.example/exporter"
    assert own["image"].pop("repository") == "docspace-exporter"
    assert published == own
