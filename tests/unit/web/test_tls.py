"""TLS as clients meet it, on real sockets."""

import contextlib
import logging
import socket
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
import trustme
from cryptography import x509

from docspace_exporter.config.section import ConfigError
from docspace_exporter.web import config as web_config
from tests.support.tls_server import serving, write_certificates, write_pair, write_pair_of_name

TLS = "cert_file: server.crt, key_file: server.key"
MUTUAL = f"{TLS}, client_ca_file: ca.crt, client_auth_type: RequireAndVerifyClientCert"


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """Certificates are next to the web configuration."""
    return write_certificates(tmp_path)


@pytest.fixture
def path(tmp_path: Path, authority: trustme.CA) -> Path:
    return tmp_path / "web.yml"


def write(path: Path, fields: str) -> None:
    path.write_text(f"tls_server_config: {{{fields}}}")


def get(path: Path, port: int, client: str = "") -> str:
    """Send a request as `client`; returns the response, or why there is none."""
    certificate = (
        (str(path.with_name(f"{client}.crt")), str(path.with_name(f"{client}.key"))) if client else None
    )
    try:
        response = requests.get(
            f"https://localhost:{port}/", verify=str(path.with_name("ca.crt")), cert=certificate, timeout=5
        )
    except requests.ConnectionError as error:
        return type(error).__name__
    return response.text


def shake_hands(path: Path, port: int, prepare: Callable[[ssl.SSLContext], object]) -> ssl.SSLSocket:
    """Return a connection made by a client that `prepare` sets up; raises ssl.SSLError."""
    context = ssl.create_default_context(cafile=str(path.with_name("ca.crt")))
    prepare(context)
    connection = socket.create_connection(("localhost", port), timeout=5)
    with contextlib.ExitStack() as stack:
        stack.callback(connection.close)
        secured = context.wrap_socket(connection, server_hostname="localhost")
        stack.pop_all()
    return secured


def speak_only(version: ssl.TLSVersion) -> Callable[[ssl.SSLContext], None]:
    def prepare(context: ssl.SSLContext) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")

    return prepare


def test_a_response_is_sent_over_tls(path: Path) -> None:
    write(path, TLS)
    with serving(path) as port:
        assert get(path, port) == "hello"


def test_an_inline_certificate_and_key_work_as_well(path: Path) -> None:
    certificate, key = (
        path.with_name(name).read_text().replace("\n", "\n    ") for name in ("server.crt", "server.key")
    )
    path.write_text(f"tls_server_config:\n  cert: |\n    {certificate}\n  key: |\n    {key}\n")
    with serving(path) as port:
        assert get(path, port) == "hello"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_versions_are_rejected_by_default(
    path: Path, version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "docspace_exporter.web.tls")
    write(path, TLS)
    with serving(path) as port, pytest.raises(ssl.SSLError, match=r"EOF|PROTOCOL_VERSION"):
        shake_hands(path, port, speak_only(version))
    assert "UNSUPPORTED_PROTOCOL" in caplog.text


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_current_versions_are_accepted_by_default(path: Path, version: ssl.TLSVersion) -> None:
    write(path, TLS)
    with serving(path) as port, shake_hands(path, port, speak_only(version)) as connection:
        assert connection.version() == version.name.replace("_", ".")


@pytest.mark.parametrize(
    ("field", "rejected"),
    [("min_version: TLS13", ssl.TLSVersion.TLSv1_2), ("max_version: TLS12", ssl.TLSVersion.TLSv1_3)],
)
def test_a_version_outside_the_configured_range_is_rejected(
    path: Path, field: str, rejected: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "docspace_exporter.web.tls")
    write(path, f"{TLS}, {field}")
    with serving(path) as port, pytest.raises(ssl.SSLError, match=r"EOF|PROTOCOL_VERSION"):
        shake_hands(path, port, speak_only(rejected))
    assert "UNSUPPORTED_PROTOCOL" in caplog.text


def test_only_http_1_is_offered(path: Path) -> None:
    write(path, TLS)

    def prepare(context: ssl.SSLContext) -> None:
        context.set_alpn_protocols(["h2", "http/1.1"])

    with serving(path) as port, shake_hands(path, port, prepare) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"


CBC = "ECDHE-ECDSA-AES128-SHA"
GCM = "ECDHE-ECDSA-AES128-GCM-SHA256"


def offer(*suites: str) -> Callable[[ssl.SSLContext], None]:
    def prepare(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(":".join(suites))

    return prepare


def chosen_suite(path: Path, port: int, *suites: str) -> str | None:
    """Return the suite that a server chooses of a client's."""
    with shake_hands(path, port, offer(*suites)) as connection:
        name, _, _ = connection.cipher() or (None, None, None)
        return name


def test_suites_without_authenticated_encryption_must_be_configured(path: Path) -> None:
    write(path, TLS)
    with serving(path) as port:
        assert chosen_suite(path, port, CBC, GCM) == GCM
        with pytest.raises(ssl.SSLError):
            shake_hands(path, port, offer(CBC))
    write(path, f"{TLS}, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA]")
    with serving(path) as port:
        assert chosen_suite(path, port, CBC, GCM) == CBC


@pytest.mark.parametrize(("preference", "chosen"), [("true", CBC), ("false", GCM)])
def test_the_order_of_suites_is_the_servers_unless_it_prefers_not(
    path: Path, preference: str, chosen: str
) -> None:
    suites = "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    write(path, f"{TLS}, cipher_suites: [{suites}], prefer_server_cipher_suites: {preference}")
    with serving(path) as port:
        assert chosen_suite(path, port, GCM, CBC) == chosen


@pytest.mark.parametrize(
    ("curve", "accepted", "rejected"),
    [
        ("CurveP256", "prime256v1", "secp384r1"),
        ("CurveP384", "secp384r1", "prime256v1"),
        ("CurveP521", "secp521r1", "prime256v1"),
    ],
)
def test_only_the_configured_curve_is_used(path: Path, curve: str, accepted: str, rejected: str) -> None:
    write(path, f"{TLS}, curve_preferences: [{curve}]")
    with serving(path) as port:
        shake_hands(path, port, lambda context: context.set_ecdh_curve(accepted)).close()
        with pytest.raises(ssl.SSLError):
            shake_hands(path, port, lambda context: context.set_ecdh_curve(rejected))


def test_x25519_is_used_where_python_can_select_it_and_an_error_elsewhere(path: Path) -> None:
    write(path, f"{TLS}, curve_preferences: [X25519]")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ecdh_curve("X25519")
    except ssl.SSLError:
        with pytest.raises(ConfigError, match=r"curve_preferences: Python 3.11.\d cannot select X25519: use"):
            web_config.load(path)
        return
    with serving(path) as port:
        shake_hands(path, port, lambda context: context.set_ecdh_curve("X25519")).close()
        with pytest.raises(ssl.SSLError):
            shake_hands(path, port, lambda context: context.set_ecdh_curve("prime256v1"))


def test_mutual_tls_rejects_clients_without_a_trusted_certificate(path: Path) -> None:
    write(path, MUTUAL)
    with serving(path) as port:
        assert get(path, port, "client") == "hello"
        assert get(path, port) == "ConnectionError"
        assert get(path, port, "stranger") == "ConnectionError"


def test_an_optional_client_certificate_must_be_valid(path: Path) -> None:
    write(path, f"{TLS}, client_ca_file: ca.crt, client_auth_type: VerifyClientCertIfGiven")
    with serving(path) as port:
        assert get(path, port) == "hello"
        assert get(path, port, "client") == "hello"
        assert get(path, port, "stranger") == "ConnectionError"


def test_without_mutual_tls_no_certificate_is_requested(path: Path) -> None:
    write(path, f"{TLS}, client_auth_type: NoClientCert")
    with serving(path) as port:
        assert get(path, port, "stranger") == "hello"


@pytest.mark.parametrize("name", ["prometheus.example", "10.1.2.3", "2001:0DB8::0001"])
def test_any_allowed_name_in_a_certificate_is_enough(path: Path, name: str) -> None:
    write(path, f'{MUTUAL}, client_allowed_sans: [other.example, "{name}"]')
    with serving(path) as port:
        assert get(path, port, "client") == "hello"


@pytest.mark.parametrize(
    "name",
    [
        x509.UniformResourceIdentifier("spiffe://example/prometheus"),
        x509.RFC822Name("ops@example.com"),
        x509.DNSName("xn--e1afmkfd.example"),
    ],
)
def test_a_name_of_any_kind_can_be_allowed(path: Path, authority: trustme.CA, name: x509.GeneralName) -> None:
    write_pair_of_name(authority, name, path.with_name("named"))
    write(path, f'{MUTUAL}, client_allowed_sans: ["{name.value}"]')
    with serving(path) as port:
        assert get(path, port, "named") == "hello"
        assert get(path, port, "client") == "ConnectionError"


@pytest.mark.parametrize(
    "name", ["PROMETHEUS.example", "prometheus.example.", "*.example", "example", "10.1.2", "2001:db8::2"]
)
def test_a_name_that_does_not_match_exactly_is_rejected(path: Path, name: str) -> None:
    write(path, f'{MUTUAL}, client_allowed_sans: ["{name}"]')
    with serving(path) as port:
        assert get(path, port, "client") == "ConnectionError"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_rejected_client_gets_no_byte_of_a_response_in_any_version(
    path: Path, version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    """In TLS 1.3 a client may send its request before the server has looked at its certificate."""
    write(path, f"{MUTUAL}, client_allowed_sans: [other.example]")

    def prepare(context: ssl.SSLContext) -> None:
        speak_only(version)(context)
        context.load_cert_chain(path.with_name("client.crt"), path.with_name("client.key"))

    received = b""
    caplog.set_level(logging.DEBUG, "docspace_exporter.web.tls")
    with (
        serving(path) as port,
        contextlib.suppress(OSError),
        shake_hands(path, port, prepare) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        received = connection.recv(1024)
    assert received == b""
    names = "['10.1.2.3', '2001:db8::1', 'prometheus.example']"
    assert f"TLS handshake failed: none of {names} is in client_allowed_sans" in caplog.messages


def shown_certificate(path: Path, port: int) -> bytes | None:
    with shake_hands(path, port, lambda _: None) as connection:
        return connection.getpeercert(binary_form=True)


def test_a_renewed_certificate_is_used_without_a_restart(path: Path, authority: trustme.CA) -> None:
    write(path, TLS)
    with serving(path) as port:
        first = shown_certificate(path, port)
        assert shown_certificate(path, port) == first
        write_pair(authority.issue_cert("localhost"), path.with_name("server"))
        renewed = ssl.PEM_cert_to_DER_cert(path.with_name("server.crt").read_text())
        assert shown_certificate(path, port) == renewed != first


def test_a_half_written_certificate_leaves_the_old_one_in_use(path: Path, authority: trustme.CA) -> None:
    write(path, TLS)
    with serving(path) as port:
        first = shown_certificate(path, port)
        path.with_name("server.key").write_text("-----BEGIN EC PRIVATE KEY-----\nMHc")
        assert shown_certificate(path, port) == first
        write_pair(authority.issue_cert("localhost"), path.with_name("server"))
        assert shown_certificate(path, port) != first


def test_another_client_authority_takes_effect_without_a_restart(path: Path) -> None:
    write(path, MUTUAL)
    with serving(path) as port:
        assert get(path, port, "stranger") == "ConnectionError"
        write(path, MUTUAL.replace("ca.crt", "stranger.crt"))
        assert get(path, port, "stranger") == "hello"
        assert get(path, port, "client") == "ConnectionError"


def test_a_client_no_longer_allowed_cannot_resume_its_session(path: Path) -> None:
    write(path, f"{MUTUAL}, max_version: TLS12, client_allowed_sans: [prometheus.example]")
    context = ssl.create_default_context(cafile=path.with_name("ca.crt"))
    context.load_cert_chain(path.with_name("client.crt"), path.with_name("client.key"))

    def connect(port: int, session: ssl.SSLSession | None) -> tuple[bool | None, ssl.SSLSession | None]:
        with (
            socket.create_connection(("localhost", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as connection,
        ):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return bool(connection.recv(1)) and connection.session_reused, connection.session

    with serving(path) as port:
        _, session = connect(port, None)
        assert connect(port, session)[0] is True
        write(path, f"{MUTUAL}, max_version: TLS12, client_allowed_sans: [other.example]")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            connect(port, session)
