"""Reads certificates and keys of the web configuration, from files or inline."""

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
    """PEM text, and the field that it comes from."""

    field: str
    text: str

    @contextlib.contextmanager
    def as_file(self) -> Iterator[str]:
        """Yield a path for OpenSSL, which reads keys from files only; the key is not written to disk."""
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
    """Return the PEM text of the field `name_file` or `name`; None if neither is set."""
    inline, file = section.read(name, str), section.file_name(f"{name}_file")
    if inline and file:
        section.add_error(name, f"and {name}_file are both set: remove one")
    if not file:
        return Pem(name, _ascii(inline.encode())) if inline else None
    path = folder / file
    try:
        return Pem(f"{name}_file", _ascii(files.read(path)))
    except OSError as error:
        section.add_error(f"{name}_file", f"cannot read {path}: {error.strerror}")
        return None


def _ascii(content: bytes) -> str:
    """Return PEM as text; comments around it may have any encoding."""
    return content.decode("ascii", "ignore")


def trust(section: Section, authority: Pem, context: ssl.SSLContext) -> bool:
    """Make a context trust certificates; if there are none, add an error and return False."""
    try:
        context.load_verify_locations(cadata=authority.text)
    except (ssl.SSLError, ValueError):
        section.add_error(authority.field, "contains no PEM certificate")
        return False
    return True


def load_certificate(section: Section, folder: Path, context: ssl.SSLContext) -> None:
    """Load the certificate of a section, with its chain, into a context; problems become errors."""
    certificate, key = read(section, folder, "cert"), read(section, folder, "key")
    if certificate is None:
        section.add_error("cert_file", "is missing: set it to the file with the server's certificate")
    if key is None:
        section.add_error("key_file", "is missing: set it to the file with the certificate's private key")
    scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate and key and trust(section, certificate, scratch):
        _load_pair(section, certificate, key, context)


def _load_pair(section: Section, certificate: Pem, key: Pem, context: ssl.SSLContext) -> None:
    try:
        with certificate.as_file() as certificate_path, key.as_file() as key_path:
            context.load_cert_chain(certificate_path, key_path, _refuse_password)
    except _EncryptedKeyError:
        section.add_error(key.field, "is encrypted: remove the password with `openssl pkey`")
    except ssl.SSLError as error:
        if error.reason is None:
            section.add_error(key.field, "contains no PEM private key")
        elif error.reason in {"KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}:
            section.add_error(key.field, f"is not the key of the certificate in {certificate.field}")
        else:
            section.add_error(
                certificate.field, f"is rejected by OpenSSL: {error.reason.replace('_', ' ').lower()}"
            )


class _EncryptedKeyError(Exception):
    pass


def _refuse_password() -> str:
    raise _EncryptedKeyError
