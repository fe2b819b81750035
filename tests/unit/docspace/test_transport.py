"""Connecting to a portal: addresses, certificates, deadlines and memory."""

import contextlib
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from docspace_exporter.config.portals import Portal, TlsConfig
from docspace_exporter.docspace import client, transport
from docspace_exporter.docspace.failures import Reason
from tests.support import processes
from tests.support.faulty_portal import FaultyPortal, bomb, drip, http, respond
from tests.support.portals import SECRET, failure_at, portal_at


def polls_successfully(portal: Portal) -> bool:
    return len(client.poll(portal, None).keys) == 1


class Tls:
    """A certificate authority with its file, and certificates that it issued."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca_file = folder / "ca.crt"
        self.authority.cert_pem.write_to_path(self.ca_file)
        client = self.authority.issue_cert("exporter@acme.example")
        self.cert_file, self.key_file = folder / "client.crt", folder / "client.key"
        client.cert_chain_pems[0].write_to_path(self.cert_file)
        client.private_key_pem.write_to_path(self.key_file)

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*names).configure_cert(context)
        return context


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


def test_a_portal_is_verified_with_the_ca_file(tls: Tls) -> None:
    with FaultyPortal(respond(), tls.server("127.0.0.1")) as portal:
        assert polls_successfully(portal_at(portal.url, tls_config=TlsConfig(ca_file=tls.ca_file)))


def test_a_portal_is_verified_with_the_bundle_from_the_environment(
    tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls.ca_file))
    with FaultyPortal(respond(), tls.server("127.0.0.1")) as portal:
        assert polls_successfully(portal_at(portal.url))


def test_a_certificate_for_another_name_is_rejected(tls: Tls) -> None:
    with FaultyPortal(respond(), tls.server("acme.example")) as portal:
        failure = failure_at(portal_at(portal.url, tls_config=TlsConfig(ca_file=tls.ca_file)))
    assert failure.reason is Reason.TLS
    assert failure.message.startswith("the portal's certificate was rejected, IP address mismatch")
    assert portal.requests == []


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_any_certificate_is_accepted_if_verification_is_disabled(tls: Tls) -> None:
    with FaultyPortal(respond(), tls.server("acme.example")) as portal:
        assert polls_successfully(portal_at(portal.url, tls_config=TlsConfig(insecure_skip_verify=True)))


def test_a_portal_gets_the_client_certificate_that_it_requires(tls: Tls) -> None:
    context = tls.server("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    tls.authority.configure_trust(context)
    configured = TlsConfig(ca_file=tls.ca_file, cert_file=tls.cert_file, key_file=tls.key_file)
    with FaultyPortal(respond(), context) as portal:
        assert polls_successfully(portal_at(portal.url, tls_config=configured))
        assert failure_at(portal_at(portal.url, tls_config=TlsConfig(ca_file=tls.ca_file))).reason in {
            Reason.TLS,
            Reason.CONNECTION,
        }


def test_a_slow_response_over_tls_ends_in_time(tls: Tls) -> None:
    headers = http(body=b"", Content_Length="1000")
    with FaultyPortal(drip(b" " * 1000, headers), tls.server("127.0.0.1")) as portal:
        failure = failure_at(
            portal_at(portal.url, poll_timeout=0.5, tls_config=TlsConfig(ca_file=tls.ca_file))
        )
    assert failure.reason is Reason.TIMEOUT
    assert failure.message == "no complete response within 0.5s: check the portal, or increase poll_timeout"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"ca_file": "absent"}, "absent: No such file or directory"),
        ({"ca_file": "empty"}, "empty: NO_CERTIFICATE_OR_CRL_FOUND"),
        ({"ca_file": "with\0nul"}, "its path is not valid"),
        ({"ca_file": "/dev/zero"}, "/dev/zero: it is not a regular file"),
        ({"cert_file": "absent", "key_file": "client.key"}, "absent: No such file or directory"),
        ({"cert_file": "client.crt", "key_file": "other.key"}, "other.key: KEY_VALUES_MISMATCH"),
        ({"cert_file": "client.crt", "key_file": "encrypted.key"}, "encrypted.key: "),
    ],
)
def test_an_unusable_file_in_tls_config_fails_the_poll_with_reason_tls(
    tls: Tls, files: dict[str, str], message: str
) -> None:
    folder = tls.ca_file.parent
    (folder / "empty").touch()
    trustme.CA().issue_cert("x").private_key_pem.write_to_path(folder / "other.key")
    _encrypt(tls.key_file, folder / "encrypted.key")
    paths: dict[str, Any] = {field: folder / name for field, name in files.items()}
    failure = failure_at(portal_at("https://127.0.0.1:1", tls_config=TlsConfig(**paths)))
    assert failure.reason is Reason.TLS
    assert failure.message.startswith("tls_config: cannot use ")
    assert message in failure.message


def _encrypt(key_file: Path, target: Path) -> None:
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    target.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )


def test_a_missing_bundle_from_the_environment_fails_the_poll_with_reason_tls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/absent.crt")
    failure = failure_at(portal_at("https://127.0.0.1:1"))
    assert failure.reason is Reason.TLS
    assert "/absent.crt, which REQUESTS_CA_BUNDLE names" in failure.message


def test_portals_without_tls_files_share_one_context() -> None:
    assert transport.tls_context(TlsConfig()) is transport.tls_context(TlsConfig())


@contextlib.contextmanager
def unresponsive(address: str, port: int) -> Iterator[None]:
    """Listen on an address with a full backlog, so that connecting takes forever."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((address, port))
        yield


@pytest.fixture
def two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve acme.example to 127.0.0.2 and 127.0.0.1, in this order."""
    resolve = socket.getaddrinfo

    def fake(host: str, *arguments: Any, **options: Any) -> list[Any]:
        hosts = ("127.0.0.2", "127.0.0.1") if host == "acme.example" else (host,)
        return [found for each in hosts for found in resolve(each, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", fake)


@pytest.mark.usefixtures("two_addresses")
def test_the_second_address_is_tried_if_the_first_refuses_the_connection() -> None:
    with FaultyPortal(respond()) as portal:
        assert polls_successfully(portal_at(f"http://acme.example:{portal.port}"))


@pytest.mark.usefixtures("two_addresses")
def test_the_second_address_is_tried_in_time_if_the_first_does_not_respond() -> None:
    with FaultyPortal(respond()) as portal, unresponsive("127.0.0.2", portal.port):
        assert polls_successfully(portal_at(f"http://acme.example:{portal.port}", poll_timeout=1.0))


@pytest.mark.usefixtures("two_addresses")
def test_a_poll_times_out_if_no_address_responds() -> None:
    with FaultyPortal(respond()) as portal, unresponsive("127.0.0.2", portal.port):
        portal.close()
        with unresponsive("127.0.0.1", portal.port):
            failure = failure_at(portal_at(f"http://acme.example:{portal.port}", poll_timeout=0.5))
    assert failure.reason is Reason.TIMEOUT


@pytest.mark.parametrize("host", ["127.0.0.1", "пример.localhost"])
def test_the_deadline_holds_for_every_host(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, *arguments, **options: resolve("127.0.0.1", *arguments, **options)
    )
    with FaultyPortal(drip(b" " * 1000, http(body=b"", Content_Length="1000"))) as portal:
        failure = failure_at(portal_at(f"http://{host}:{portal.port}", poll_timeout=0.5))
    assert failure.reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    ("status", "reason"), [(200, Reason.TOO_LARGE), (302, Reason.REDIRECT), (500, Reason.SERVER_ERROR)]
)
def test_a_gzip_bomb_of_256_mib_uses_little_memory(status: int, reason: Reason, tmp_path: Path) -> None:
    with FaultyPortal(respond(status, bomb(256), Content_Encoding="gzip", Location="/")) as portal:
        environment = {"DOCSPACE_URL": portal.url, "DOCSPACE_API_KEY": SECRET}
        with processes.exporter(tmp_path, environment=environment) as exporter:
            processes.wait_for(lambda: f"reason={reason}" in exporter.log, "the failure in the log")
            status_file = Path(f"/proc/{exporter.process.pid}/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status_file)
    assert peak is not None
    assert int(peak[1]) < 250 * 1024
