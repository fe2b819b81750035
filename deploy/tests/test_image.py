"""The container image, built and run."""

import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import bcrypt
import pytest
import trustme
import yaml
from containers import Container, Image, Storage, running
from paths import BASE, ROOT, run
from prometheus_client.parser import text_string_to_metric_families as parse

from docspace_exporter.demo import DemoPortal, sample_keys

EXPORTER = 65532
SIZE_LIMIT = 60_000_000


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A directory that the container's user may read, which pytest's own is not."""
    directory = tmp_path / "mounted"
    directory.mkdir(mode=0o755)
    return directory


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with tempfile.TemporaryDirectory() as directory:
        yield Storage(Path(directory))


@pytest.fixture(scope="module")
def base(storage: Storage) -> Image:
    context = storage.directory / "base"
    context.mkdir()
    (context / "base.tar").hardlink_to(BASE)
    (context / "Dockerfile").write_text(
        "FROM scratch\nADD base.tar /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n"
    )
    return storage.build("base", context)


@pytest.fixture(scope="module")
def image(storage: Storage, base: Image) -> Image:
    python = f"--build-context=python:3.13-slim=docker-image://localhost/{base.tag}"
    arguments = (f"--build-arg={argument}" for argument in ("VERSION=1.2.3", "REVISION=0a1b2c3"))
    return storage.build("exporter", ROOT, python, *arguments)


@pytest.fixture(scope="module")
def demo(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with running(image, tmp_path_factory.mktemp("demo"), "--demo") as container:
        container.wait_until_ready()
        yield container


def samples(text: str | None, name: str) -> list[tuple[dict[str, str], float]]:
    assert text is not None
    return [
        (sample.labels, sample.value)
        for family in parse(text)
        for sample in family.samples
        if sample.name == name
    ]


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    assert run("hadolint", "Dockerfile") == ""


def test_it_serves_the_demo_and_reports_the_version_it_was_built_as(demo: Container) -> None:
    metrics = demo.get("/metrics")
    assert [value for _, value in samples(metrics, "docspace_up")] == [1]
    assert len(samples(metrics, "docspace_api_key_info")) >= 12
    ((labels, _),) = samples(metrics, "docspace_exporter_build_info")
    assert (labels["version"], labels["revision"]) == ("1.2.3", "0a1b2c3")


def test_it_has_the_page_and_its_files(demo: Container) -> None:
    assert "expire" in (demo.get("/") or "")
    assert demo.get("/-/static/status.css")


def test_it_runs_as_its_own_user_without_a_capability(demo: Container) -> None:
    status = Path(f"/proc/{demo.pid}/status").read_text()
    fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == [str(EXPORTER)] * 4
    assert {name: int(fields[name], 16) for name in fields if name.startswith("Cap")} == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0
    )


def test_its_root_is_read_only(demo: Container) -> None:
    rejected = demo.runs("python3", "-c", "open('/tmp/file', 'w')")
    assert "Read-only file system" in rejected.stderr


def test_docker_would_find_it_healthy(image: Image, demo: Container) -> None:
    kind, *command = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert demo.runs(*command).returncode == 0


def test_docker_would_find_it_unhealthy_on_another_port(image: Image, demo: Container) -> None:
    checked = demo.runs(*image.config["Healthcheck"]["Test"][1:], "1")
    assert checked.returncode == 1
    assert "not healthy on port 1" in checked.stderr


def test_it_stops_within_two_seconds_of_sigterm(image: Image, tmp_path: Path) -> None:
    with running(image, tmp_path, "--demo") as container:
        container.wait_until_ready()
        begin = time.monotonic()
        container.process.terminate()
        assert container.process.wait(timeout=10) == 0
        assert time.monotonic() - begin < 2


def test_a_url_and_a_key_file_are_all_it_needs(image: Image, tmp_path: Path) -> None:
    with DemoPortal(sample_keys(datetime.now(UTC))) as portal:
        key = tmp_path / "key"
        key.write_text(portal.keys[-1].secret)
        with running(
            image,
            tmp_path / "container",
            "--once",
            environment={"DOCSPACE_URL": portal.url, "DOCSPACE_API_KEY_FILE": "/run/secrets/key"},
            mounts={"/run/secrets/key": key},
            host_network=True,
        ) as container:
            assert container.process.wait(timeout=20) == 0, container.log
            assert [value for _, value in samples(container.log, "docspace_up")] == [1]


def test_a_mounted_configuration_is_found(image: Image, tmp_path: Path, mounted: Path) -> None:
    portal = {"url": "https://localhost:1", "name": "mounted", "api_key": "sk-none"}
    (mounted / "config.yaml").write_text(yaml.safe_dump({"portals": [portal]}))
    with running(image, tmp_path / "container", mounts={"/etc/docspace-exporter": mounted}) as container:
        container.wait_until_ready()
        assert samples(container.get("/metrics"), "docspace_up") == [({"portal": "mounted"}, 0)]


def test_without_a_configuration_it_says_what_to_do(image: Image, tmp_path: Path) -> None:
    with running(image, tmp_path) as container:
        assert container.process.wait(timeout=10) == 1
        assert "DOCSPACE_URL" in container.log


def test_it_is_healthy_with_tls_and_passwords_enabled(image: Image, tmp_path: Path, mounted: Path) -> None:
    certificate = trustme.CA().issue_cert("exporter.example")
    certificate.private_key_pem.write_to_path(mounted / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(mounted / "tls.crt")
    os.chown(mounted / "tls.key", EXPORTER, EXPORTER)
    web_config = {
        "tls_server_config": {"cert_file": "tls.crt", "key_file": "tls.key"},
        "basic_auth_users": {"prometheus": bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()},
    }
    (mounted / "web-config.yml").write_text(yaml.safe_dump(web_config))
    flags = ("--demo", "--web.config.file=/run/secrets/web/web-config.yml")
    with running(image, tmp_path / "container", *flags, mounts={"/run/secrets/web": mounted}) as container:
        checked = container.runs(*image.config["Healthcheck"]["Test"][1:])
        assert checked.returncode == 0, checked.stderr


def test_it_brings_no_build_tools(image: Image) -> None:
    brought = image.root / "opt/docspace-exporter"
    names = {path.name for path in brought.rglob("*")}
    assert "docspace-exporter" in names
    assert names.isdisjoint({"pip", "uv", "setuptools", "hatchling", "wheel"})
    assert not (image.root / "build").exists()


def test_labels_describe_it(image: Image) -> None:
    labels = image.config["Labels"]
    known = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    assert known["title"] == "docspace-exporter"
    assert known["licenses"] == "Apache-2.0"
    assert (known["version"], known["revision"]) == ("1.2.3", "0a1b2c3")


def test_it_adds_little_to_its_base(image: Image, base: Image, capsys: pytest.CaptureFixture[str]) -> None:
    size = image.size - base.size
    with capsys.disabled():
        print(f"\nThe image is {size / 1e6:.1f} MB beyond its base.")
    assert size < SIZE_LIMIT
