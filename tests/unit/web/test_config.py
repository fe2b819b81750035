"""What a web configuration file may say, and how errors are reported."""

import logging
import os
import shutil
import ssl
import threading
from pathlib import Path

import bcrypt
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from docspace_exporter.config.section import ConfigError
from docspace_exporter.web import config as web_config
from docspace_exporter.web.config import WatchedWebConfig, WebConfig, load
from tests.support.processes import wait_for
from tests.support.tls_server import write_certificates, write_pair, write_pair_of_name

BAD_FILES = sorted((Path(__file__).parent / "web_configs").glob("*.yml"))
TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key"
HASH = bcrypt.hashpw(b"example", bcrypt.gensalt(4)).decode()

EVERYTHING = f"""
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.example]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP384]
http_server_config:
  http2: true
  headers:
    Content-Security-Policy: default-src 'self'
    Strict-Transport-Security: max-age=31536000
    X-Content-Type-Options: nosniff
    X-Frame-Options: deny
    X-XSS-Protection: ""
basic_auth_users:
  prometheus: {HASH}
"""


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """Certificates are next to the web configuration."""
    return write_certificates(tmp_path)


@pytest.fixture
def path(tmp_path: Path, authority: trustme.CA) -> Path:
    return tmp_path / "web.yml"


def errors(path: Path) -> list[str]:
    """Return the file's errors without its name and folder."""
    with pytest.raises(ConfigError) as caught:
        load(path)
    lines = [error.removeprefix(f"{path}:").strip() for error in caught.value.errors]
    return [line.replace(f"{path.parent}/", "") for line in lines]


@pytest.mark.parametrize("bad", BAD_FILES, ids=[bad.stem for bad in BAD_FILES])
def test_an_invalid_file_is_rejected_with_the_error_in_its_comment(bad: Path, path: Path) -> None:
    shutil.copy(bad, path)
    expected = [line[2:] for line in bad.read_text().splitlines() if line.startswith("# ")]
    assert errors(path) == expected
    reported = "\n".join(expected)
    assert "hunter" not in reported
    assert "PRIVATE" not in reported
    assert "A2LW7" not in reported


def test_an_encrypted_key_is_rejected_without_prompting_for_its_password(path: Path) -> None:
    key = serialization.load_pem_private_key((path.parent / "server.key").read_bytes(), None)
    (path.parent / "locked.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    path.write_text("tls_server_config: {cert_file: server.crt, key_file: locked.key}")
    assert errors(path) == [
        "tls_server_config.key_file: is encrypted: remove the password with `openssl pkey`"
    ]


def test_a_key_of_another_type_than_the_certificate_is_rejected(path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (path.parent / "rsa.key").write_bytes(key)
    path.write_text("tls_server_config: {cert_file: server.crt, key_file: rsa.key}")
    assert errors(path) == ["tls_server_config.key_file: is not the key of the certificate in cert_file"]


def test_a_certificate_that_openssl_finds_too_weak_is_rejected(path: Path, authority: trustme.CA) -> None:
    key = rsa.generate_private_key(65537, 1024)
    write_pair_of_name(authority, x509.DNSName("localhost"), path.parent / "weak", key)
    path.write_text("tls_server_config: {cert_file: weak.crt, key_file: weak.key}")
    assert errors(path) == ["tls_server_config.cert_file: is rejected by OpenSSL: ee key too small"]


def test_an_empty_file_means_plain_http_for_all(path: Path) -> None:
    path.write_text("")
    config = load(path)
    assert (config.ssl_context, config.users, config.headers) == (None, {}, ())


def test_empty_sections_mean_the_same_as_none(path: Path) -> None:
    path.write_text("tls_server_config: {}\nbasic_auth_users:\nhttp_server_config:\n")
    assert load(path).ssl_context is None


def test_every_field_is_read(path: Path) -> None:
    path.write_text(EVERYTHING)
    config = load(path)
    assert config.users == {"prometheus": HASH.encode()}
    assert config.headers == (
        ("Content-Security-Policy", "default-src 'self'"),
        ("Strict-Transport-Security", "max-age=31536000"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "deny"),
    )
    assert config.ssl_context is not None
    assert config.ssl_context.verify_mode is ssl.CERT_REQUIRED
    assert not config.ssl_context.options & ssl.OP_CIPHER_SERVER_PREFERENCE


def test_hashes_are_not_in_a_representation(path: Path) -> None:
    path.write_text(EVERYTHING)
    assert repr(load(path)) == "WebConfig(tls=True, users=['prometheus'])"


def test_hashes_of_all_common_tools_are_accepted(path: Path) -> None:
    for kind in ("2a", "2b", "2y"):
        path.write_text(f"basic_auth_users: {{prometheus: ${kind}{HASH[3:]}}}")
        assert load(path).users["prometheus"].startswith(f"${kind}$04$".encode())


def test_a_missing_file_is_an_error_with_its_name(path: Path) -> None:
    assert errors(path) == ["cannot be read: No such file or directory"]


def newest(watched: WatchedWebConfig) -> WebConfig:
    """Return the configuration after a look at its files."""
    watched.look()
    return watched.current()


def test_a_changed_file_takes_effect_at_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path.write_text("")
    watched = WatchedWebConfig(path)
    path.write_text(f"basic_auth_users: {{prometheus: {HASH}}}")
    assert "prometheus" in newest(watched).users
    assert caplog.messages == ["Web configuration reloaded"]


def test_a_change_is_seen_without_a_client(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_config, "LOOK_INTERVAL", 0.05)
    path.write_text("")
    watched = WatchedWebConfig(path)
    with watched.watching():
        path.write_text(f"basic_auth_users: {{prometheus: {HASH}}}")
        wait_for(lambda: "prometheus" in watched.current().users, "the change")


def test_a_file_system_that_hangs_delays_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(_: WebConfig) -> bool:
        hangs.set()
        return not goes_on.wait(10)

    monkeypatch.setattr(web_config, "LOOK_INTERVAL", 0.05)
    monkeypatch.setattr(WebConfig, "is_outdated", hang)
    path.write_text(f"basic_auth_users: {{prometheus: {HASH}}}")
    watched = WatchedWebConfig(path)
    with watched.watching():
        assert hangs.wait(10)
        assert "prometheus" in watched.current().users
    goes_on.set()


def test_a_named_file_is_watched_too(path: Path, authority: trustme.CA) -> None:
    path.write_text(TLS + "}")
    watched = WatchedWebConfig(path)
    first = newest(watched)
    assert newest(watched) is first
    write_pair(authority.issue_cert("localhost"), path.parent / "server")
    assert newest(watched) is not first


def test_a_swapped_symbolic_link_counts_as_a_change(path: Path, tmp_path: Path) -> None:
    """Kubernetes renews a mounted Secret or ConfigMap so."""
    for version, user in (("v1", "old"), ("v2", "new")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "web.yml").write_text(f"basic_auth_users: {{{user}: {HASH}}}")
        os.utime(tmp_path / version / "web.yml", (1, 1))
    data = tmp_path / "data"
    data.symlink_to("v1")
    path.symlink_to("data/web.yml")
    watched = WatchedWebConfig(path)
    (tmp_path / "data_new").symlink_to("v2")
    (tmp_path / "data_new").rename(data)
    assert "new" in newest(watched).users


def test_an_invalid_new_file_leaves_the_old_one_in_effect_and_is_logged_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(f"basic_auth_users: {{prometheus: {HASH}}}")
    watched = WatchedWebConfig(path)
    path.write_text("basic_auth_users: {prometheus: hunter2}")
    assert newest(watched) is newest(watched)
    assert newest(watched).users == {"prometheus": HASH.encode()}
    (message,) = caplog.messages
    assert message.startswith(f"Web configuration not reloaded: {path}: basic_auth_users.prometheus: is not")


def test_an_unexpected_error_leaves_the_old_one_in_effect_and_is_reported_without_its_text(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(_: Path) -> WebConfig:
        raise RuntimeError("hunter2")

    path.write_text(f"basic_auth_users: {{prometheus: {HASH}}}")
    watched = WatchedWebConfig(path)
    path.write_text(f"basic_auth_users: {{grafana: {HASH}}}")
    with monkeypatch.context() as patch:
        patch.setattr(web_config, "load", break_down)
        assert "prometheus" in newest(watched).users
    assert caplog.messages == [
        f"Web configuration not reloaded: {path}: unexpected RuntimeError: please report this as a bug"
    ]
    assert "grafana" in newest(watched).users


def test_another_error_is_logged_too_and_a_corrected_file_is_read(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(f"basic_auth_users: {{prometheus: {HASH}}}")
    watched = WatchedWebConfig(path)
    path.unlink()
    assert "prometheus" in newest(watched).users
    assert "cannot be read" in caplog.messages[0]
    path.write_text("basic_auth_user: {}")
    assert "prometheus" in newest(watched).users
    assert "did you mean basic_auth_users?" in caplog.messages[1]
    path.write_text(f"basic_auth_users: {{grafana: {HASH}}}")
    assert "grafana" in newest(watched).users


def test_a_file_that_an_invalid_one_refers_to_may_be_created_later(path: Path, authority: trustme.CA) -> None:
    path.write_text(TLS + "}")
    watched = WatchedWebConfig(path)
    first = newest(watched)
    path.write_text("tls_server_config: {cert_file: renewed.crt, key_file: renewed.key}")
    assert newest(watched) is first
    write_pair(authority.issue_cert("localhost"), path.parent / "renewed")
    assert newest(watched) is not first


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        (TLS + "}", "", "tls_server_config: enabling or disabling TLS requires a restart"),
        ("", TLS + "}", "tls_server_config: enabling or disabling TLS requires a restart"),
        (
            TLS + ", client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert}",
            TLS + "}",
            "tls_server_config.client_auth_type: weakening it requires a restart",
        ),
        (
            f"basic_auth_users: {{prometheus: {HASH}}}",
            "",
            "basic_auth_users: removing all users requires a restart",
        ),
    ],
)
def test_protection_cannot_be_disabled_while_running(
    path: Path, before: str, after: str, error: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(before)
    watched = WatchedWebConfig(path)
    first = newest(watched)
    path.write_text(after)
    assert newest(watched) is first
    assert caplog.messages == [f"Web configuration not reloaded: {path}: {error}"]
