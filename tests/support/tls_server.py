"""Certificates, and the exporter's own server on loopback with a web configuration file."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from docspace_exporter.web import server
from docspace_exporter.web.config import WatchedWebConfig, WebConfig
from docspace_exporter.web.middleware import BasicAuthMiddleware, ResponseHeadersMiddleware
from tests.support.serving import in_thread

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def write_certificates(folder: Path) -> trustme.CA:
    """Write .crt and .key of `server`, `client` and `stranger`, and `ca.crt`, which signed the first two."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.crt")
    write_pair(authority.issue_cert("localhost"), folder / "server")
    write_pair(authority.issue_cert("prometheus.example", "10.1.2.3", "2001:db8::1"), folder / "client")
    write_pair(trustme.CA().issue_cert("prometheus.example"), folder / "stranger")
    return authority


def write_pair(certificate: trustme.LeafCert, path: Path) -> None:
    """Write a certificate and its key to `path`.crt and `path`.key."""
    certificate.cert_chain_pems[0].write_to_path(path.with_suffix(".crt"))
    certificate.private_key_pem.write_to_path(path.with_suffix(".key"))


def write_pair_of_name(
    authority: trustme.CA, name: x509.GeneralName, path: Path, key: PrivateKey | None = None
) -> None:
    """Write a certificate for a kind of name or key that trustme does not support."""
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    issuer_key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = key or ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([name]), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
    path.with_suffix(".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


async def _hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello", headers={"X-Frame-Options": "sameorigin"})


class _LookingWebConfig(WatchedWebConfig):
    """Looks at its files whenever it is used, so that a change takes effect at once."""

    def current(self) -> WebConfig:
        self.look()
        return super().current()


@contextlib.contextmanager
def serving(path: Path) -> Iterator[int]:
    """Serve `/` and the probes' paths with a web configuration file; yields the port."""
    config = _LookingWebConfig(path)
    open_paths = ("/-/healthy", "/-/ready")
    endpoints = Starlette(routes=[Route(where, _hello) for where in ("/", *open_paths)])
    app = ResponseHeadersMiddleware(
        BasicAuthMiddleware(endpoints, config.current, open_paths), config.current
    )
    with (
        server.listen("127.0.0.1:0") as listener,
        in_thread(app, listener, config.server_context()),
    ):
        yield listener.getsockname()[1]
