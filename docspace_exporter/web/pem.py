"""Certificates and keys of the web configuration, which names a file for each or holds its text."""

import contextlib
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec

from docspace_exporter import files
from docspace_exporter.config.section import Section


class Pem(msgspec.Struct, frozen=True):
    """PEM text, and the field that gives it."""

    field: str
    text: str

    @contextlib.contextmanager
    def as_file(self) -> Iterator[str]:
        """Yield a path for OpenSSL, which reads keys from files only; the key reaches no disk for it."""
        with _nameless_file() as file:
            file.write(self.text.encode())
            file.flush()
            file.seek(0)
            yield f"/dev/fd/{file.fileno()}"


def _nameless_file() -> IO[bytes]:
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("pem"), "w+b")
    return tempfile.TemporaryFile()


def read(section: Section, folder: Path, name: str) -> Pem | None:
    """Return what the field `name_file` or else `name` gives; None where neither gives any."""
    inline, file = section.read(name, str), section.file_name(f"{name}_file")
    if inline and file:
        section.add_error(name, f"and {name}_file are both given: keep one")
    if not file:
        return Pem(name, _ascii(inline.encode())) if inline else None
    path = folder / file
    try:
        return Pem(f"{name}_file", _ascii(files.read(path)))
    except OSError as error:
        section.add_error(f"{name}_file", f"cannot read {path}: {error.strerror}")
        return None


def _ascii(content: bytes) -> str:
    """Return PEM as text; comments around it may be in any encoding."""
    return content.decode("ascii", "ignore")


def trust(section: Section, authority: Pem, context: ssl.SSLContext) -> bool:
    """Have a context trust certificates; an error, and False, where there are none."""
    try:
        context.load_verify_locations(cadata=authority.text)
    except (ssl.SSLError, ValueError):
        section.add_error(authority.field, "has no certificate in PEM form")
        return False
    return True


def load_certificate(section: Section, folder: Path, context: ssl.SSLContext) -> None:
    """Have a context show the certificate of a section, with its chain; what is wrong is an error."""
    certificate, key = read(section, folder, "cert"), read(section, folder, "key")
    if certificate is None:
        section.add_error("cert_file", "is missing: name the file with the server's certificate")
    if key is None:
        section.add_error("key_file", "is missing: name the file with the certificate's private key")
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate and key and trust(section, certificate, scratch):
        _load_pair(section, certificate, key, context)


def _load_pair(section: Section, certificate: Pem, key: Pem, context: ssl.SSLContext) -> None:
    try:
        with certificate.as_file() as certificate_path, key.as_file() as key_path:
            context.load_cert_chain(certificate_path, key_path, _refuse_password)
    except _EncryptedKeyError:
        section.add_error(key.field, "is encrypted: take the password off with `openssl pkey`")
    except ssl.SSLError as error:
        if error.reason is None:
            section.add_error(key.field, "has no private key in PEM form")
        elif error.reason in {"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}:
            section.add_error(key.field, f"is not the key of the certificate in {certificate.field}")
        else:
            section.add_error(
                certificate.field, f"is refused by OpenSSL: {error.reason.replace('_', ' ').lower()}"
            )


class _EncryptedKeyError(Exception):
    pass


def _refuse_password() -> str:
    raise _EncryptedKeyError
