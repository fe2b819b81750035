"""What a CA file may contain, and when the bundle from the environment is used."""

import socket
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trustme

from docspace_exporter.config.portals import TlsConfig
from docspace_exporter.docspace import client
from docspace_exporter.docspace.failures import Reason
from tests.support.faulty_portal import FaultyPortal, hang, respond
from tests.support.portals import failure_at, portal_at


def server_with(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def trusting(folder: Path, blobs: Sequence[trustme.Blob]) -> TlsConfig:
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(b"".join(blob.bytes() for blob in blobs))
    return TlsConfig(ca_file=ca_file)


def test_a_ca_file_may_contain_only_an_intermediate_authority(tmp_path: Path) -> None:
    root = trustme.CA()
    intermediate = root.create_child_ca()
    certificate = intermediate.issue_cert("127.0.0.1")
    tls = trusting(tmp_path, [intermediate.cert_pem])
    with FaultyPortal(respond(), server_with(certificate)) as portal:
        assert client.poll(portal_at(portal.url, tls_config=tls), None).keys


def test_a_ca_file_may_contain_only_the_certificate_of_the_portal(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    tls = trusting(tmp_path, certificate.cert_chain_pems[:1])
    with FaultyPortal(respond(), server_with(certificate)) as portal:
        assert client.poll(portal_at(portal.url, tls_config=tls), None).keys


@pytest.mark.parametrize("name", ["127.0.0.1", "acme.example"], ids=["another certificate", "another name"])
def test_the_certificate_of_a_portal_does_not_verify_any_other(name: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    trusted, other = authority.issue_cert(name), authority.issue_cert("127.0.0.1")
    tls = trusting(tmp_path, trusted.cert_chain_pems[:1])
    with FaultyPortal(respond(), server_with(trusted if name == "acme.example" else other)) as portal:
        failure = failure_at(portal_at(portal.url, tls_config=tls))
    assert failure.reason is Reason.TLS
    assert "certificate was rejected" in failure.message


@pytest.mark.parametrize("bundle", ["", "  "])
def test_an_empty_bundle_variable_counts_as_unset(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    with FaultyPortal(hang, server_with(trustme.CA().issue_cert("127.0.0.1"))) as portal:
        failure = failure_at(portal_at(portal.url))
    assert "certificate was rejected" in failure.message


def test_no_ca_file_is_read_for_an_http_portal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/absent")
    with FaultyPortal(respond()) as portal:
        assert client.poll(portal_at(portal.url), None).keys


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_socks_proxy_from_the_environment_is_reported_by_the_name_of_its_variable(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "socks5://user:hunter2@proxy.example:1080")
    failure = failure_at(portal_at("https://acme.example"))
    assert failure.reason is Reason.CONNECTION
    assert failure.message.startswith(f"{variable} is not the URL of an HTTP proxy")
    assert "hunter2" not in failure.message


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (socket.EAI_AGAIN, "the name server does not respond: check DNS"),
        (socket.EAI_NONAME, "the host name cannot be resolved: check url and DNS"),
    ],
)
def test_a_host_name_that_is_not_resolved_in_time_is_a_connection_failure(
    number: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*_: Any, **__: Any) -> None:
        threading.Event().wait(0.3)  # longer than the poll timeout
        raise socket.gaierror(number, "whatever")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    failure = failure_at(portal_at("https://acme.example", poll_timeout=0.1))
    assert (failure.reason, failure.message) == (Reason.CONNECTION, message)
