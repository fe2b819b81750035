"""Turns `tls_server_config` of the web configuration into an SSLContext.

Field names, values and defaults are those of exporter-toolkit, which names versions, cipher suites and curves
as Go does. Settings that Python's ssl does not support are errors; none is ignored.
"""

import ipaddress
import logging
import platform
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from docspace_exporter.config import strict_yaml
from docspace_exporter.config.section import Section
from docspace_exporter.web import pem

logger = logging.getLogger(__name__)

T = TypeVar("T")

FILE_FIELDS = ("cert_file", "key_file", "client_ca_file")
FIELDS = (
    *FILE_FIELDS,
    *("cert", "key", "client_ca", "client_auth_type", "client_allowed_sans", "min_version", "max_version"),
    *("cipher_suites", "curve_preferences", "prefer_server_cipher_suites"),
)

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_OLD_VERSIONS = {"TLS10", "TLS11"}
_CIPHERS = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
_DEFAULT_CIPHERS = [suite for suite in _CIPHERS.values() if not suite.endswith("-SHA")]
_TLS13_CIPHERS = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
_CURVES = {
    "X25519": "X25519",
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
}
_CLIENT_AUTH = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_UNVERIFIED_CLIENT_AUTH = {"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"}


class ReloadingContext(ssl.SSLContext):
    """Uses the newest context for each handshake, so that renewed certificates need no restart."""

    _newest: Callable[[], ssl.SSLContext]

    def __new__(cls, _newest: Callable[[], ssl.SSLContext]) -> "ReloadingContext":
        """Return a server context without a certificate: it never makes connections itself."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, newest: Callable[[], ssl.SSLContext]) -> None:
        self._newest = newest

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Return a connection of the newest context; asyncio calls this once per client."""
        return self._newest().wrap_bio(*arguments, **options)


def read_context(section: Section, folder: Path) -> ssl.SSLContext:
    """Return the context of a section, which must not be used if it has errors."""
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _set_versions(section, context)
    _set_ciphers(section, context)
    _set_curve(section, context)
    _set_client_auth(section, folder, context)
    pem.load_certificate(section, folder, context)
    return context


def named_files(section: Section, folder: Path) -> tuple[Path, ...]:
    """Return the files that a section names, whether or not they exist."""
    names = (section.read(field, str) for field in FILE_FIELDS)
    return tuple(folder / name for name in names if name)


class _ServerConnection(ssl.SSLObject):
    """Rejects clients whose certificate has no allowed name, and logs why handshakes fail."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
            self._check_names()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            logger.debug("TLS handshake failed: %s", error.args[-1])
            raise

    def _check_names(self) -> None:
        allowed = self.context.allowed_sans if isinstance(self.context, _ServerContext) else None
        if allowed is None:
            return
        names = set(_alternative_names(self.getpeercert() or {}))
        if allowed.isdisjoint(names):
            raise ssl.SSLCertVerificationError(f"none of {sorted(names)} is in client_allowed_sans")


class _ServerContext(ssl.SSLContext):
    sslobject_class = _ServerConnection
    allowed_sans: frozenset[str] | None = None


def _alternative_names(certificate: Mapping[str, Any]) -> Iterator[str]:
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in {"DNS", "email", "URI"}:
            yield name
        elif kind == "IP Address":
            yield _one_spelling(name)


def _one_spelling(name: str) -> str:
    """Return an IP address in its usual spelling, any other name unchanged."""
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name


def _set_versions(section: Section, context: ssl.SSLContext) -> None:
    for field in ("min_version", "max_version"):
        if section.read(field, str) in _OLD_VERSIONS:
            section.add_error(field, "is too old for OpenSSL's security level: use TLS12 or TLS13")
    lowest = _choice(section, "min_version", _VERSIONS, ssl.TLSVersion.TLSv1_2)
    highest = _choice(section, "max_version", _VERSIONS, ssl.TLSVersion.TLSv1_3)
    if lowest > highest:
        section.add_error("max_version", "is lower than min_version")
    context.minimum_version, context.maximum_version = lowest, highest


def _set_ciphers(section: Section, context: ssl.SSLContext) -> None:
    names = _known_names(section, "cipher_suites", {*_CIPHERS, *_TLS13_CIPHERS})
    suites = [_CIPHERS[name] for name in names if name in _CIPHERS]
    if names and not suites and context.minimum_version < ssl.TLSVersion.TLSv1_3:
        section.add_error("cipher_suites", "lists no suite of TLS 1.2: add one, or set min_version: TLS13")
    if _TLS13_CIPHERS - {*names} not in (_TLS13_CIPHERS, set()):
        section.add_error(
            "cipher_suites",
            "lists some suites of TLS 1.3, all three of which are always enabled: list all or none",
        )
    context.set_ciphers(":".join(suites or _DEFAULT_CIPHERS))
    if section.read("prefer_server_cipher_suites", bool) is False:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE


def _set_curve(section: Section, context: ssl.SSLContext) -> None:
    names = _known_names(section, "curve_preferences", _CURVES)
    if len(names) > 1:
        section.add_error(
            "curve_preferences", "lists several: Python offers one, or with none listed its own choice"
        )
    elif names:
        try:
            context.set_ecdh_curve(_CURVES[names[0]])
        except ssl.SSLError:  # Python 3.11.2 cannot select X25519
            python = platform.python_version()
            section.add_error(
                "curve_preferences",
                f"Python {python} cannot select {names[0]}: use CurveP256, or a newer Python",
            )


def _set_client_auth(section: Section, folder: Path, context: _ServerContext) -> None:
    if section.read("client_auth_type", str) in _UNVERIFIED_CLIENT_AUTH:
        section.add_error(
            "client_auth_type", "requests certificates without verifying them: use RequireAndVerifyClientCert"
        )
    mode = _choice(section, "client_auth_type", _CLIENT_AUTH, ssl.CERT_NONE)
    authority = pem.read(section, folder, "client_ca")
    if authority is None and mode is not ssl.CERT_NONE:
        section.add_error("client_ca_file", "is missing: set it to the file with the CA of the clients")
    elif authority and mode is ssl.CERT_NONE:
        section.add_error(
            "client_auth_type", f"is missing: {authority.field} requires RequireAndVerifyClientCert"
        )
    elif authority:
        pem.trust(section, authority, context)
    context.verify_mode = mode
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _set_allowed_sans(section, context)


def _set_allowed_sans(section: Section, context: _ServerContext) -> None:
    if section.read("client_allowed_sans", list) is None:
        return
    context.allowed_sans = frozenset(map(_one_spelling, _strings(section, "client_allowed_sans")))
    if not context.allowed_sans:
        section.add_error("client_allowed_sans", "is empty: no client could connect")
    elif context.verify_mode is not ssl.CERT_REQUIRED:
        section.add_error("client_allowed_sans", "requires client_auth_type: RequireAndVerifyClientCert")


def _choice(section: Section, field: str, choices: Mapping[str, T], default: T) -> T:
    name = section.read(field, str) or None
    if name is None:
        return default
    if name not in choices:
        hint = strict_yaml.nearest(name, choices) or f"; expected one of {', '.join(choices)}"
        section.add_error(field, f"unknown value{hint}")
    return choices.get(name, default)


def _known_names(section: Section, field: str, known: Collection[str]) -> list[str]:
    names = _strings(section, field)
    for index, name in enumerate(names):
        if name not in known:
            hint = strict_yaml.nearest(name, known) or f"; expected one of {', '.join(sorted(known))}"
            section.add_error(f"{field}[{index}]", f"unknown value{hint}")
    return [name for name in names if name in known]


def _strings(section: Section, field: str) -> list[str]:
    values = section.read(field, list) or []
    for index, value in enumerate(values):
        if not isinstance(value, str):
            section.add_error(f"{field}[{index}]", "must be a string: put it in quotes")
    return [value for value in values if isinstance(value, str)]
