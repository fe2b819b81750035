"""Reads `--web.config.file`: TLS, passwords and headers, in the format of exporter-toolkit.

Settings that the exporter does not support are errors; none is ignored.
"""

import contextlib
import logging
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import msgspec

from docspace_exporter.config import strict_yaml
from docspace_exporter.config.section import ConfigError, Section
from docspace_exporter.web.tls import FIELDS as TLS_FIELDS
from docspace_exporter.web.tls import ReloadingContext, named_files, read_context

logger = logging.getLogger(__name__)

LOOK_INTERVAL = 1.0
"""Seconds between two checks for changed files."""

_FIELDS = ("tls_server_config", "http_server_config", "basic_auth_users", "rate_limit")
_HEADERS: Mapping[str, tuple[str, ...]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
"""Headers that may be configured, with their allowed values if these are limited."""

_BCRYPT_HASH = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]")
_COSTS = range(4, 19)
"""The lowest cost that bcrypt accepts, and the highest that is checked in about ten seconds."""


class FileVersion(msgspec.Struct, frozen=True):
    """The version of a file when it was checked; all zero if it could not be read."""

    path: Path
    modified_ns: int = 0
    size: int = 0
    inode: int = 0

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the current version at a path, following symbolic links."""
        try:
            stat = path.stat()
        except (OSError, ValueError):
            return cls(path)
        return cls(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)


class WebConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How clients are served: TLS, users and headers. By default without TLS and to everyone."""

    ssl_context: ssl.SSLContext | None = None
    users: Mapping[str, bytes] = {}
    headers: tuple[tuple[str, str], ...] = ()
    sources: tuple[FileVersion, ...] = ()

    def is_outdated(self) -> bool:
        """Return whether any of its files has changed since it was read."""
        return any(FileVersion.of(source.path) != source for source in self.sources)

    def __repr__(self) -> str:
        return f"WebConfig(tls={self.ssl_context is not None}, users={sorted(self.users)})"


class WatchedWebConfig:
    """The newest valid web configuration; read again when the file or a file it names changes."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises ConfigError."""
        self._path = path
        self._newest = load(path)
        self._errors: tuple[str, ...] = ()

    def current(self) -> WebConfig:
        """Return the newest valid configuration."""
        return self._newest

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look at the files within the context, in a thread: a file system that hangs delays no client."""
        stopped = threading.Event()

        def look_until_stopped() -> None:
            while not stopped.wait(LOOK_INTERVAL):
                self.look()

        threading.Thread(target=look_until_stopped, name="web configuration", daemon=True).start()
        try:
            yield
        finally:
            stopped.set()

    def look(self) -> None:
        """Read the configuration again if it has changed; a change, or why it failed, is logged once."""
        if self._newest.is_outdated():
            self._read_again()

    def server_context(self) -> ssl.SSLContext | None:
        """Return the TLS context, None for plain HTTP; each client gets the newest certificate."""
        first = self._newest.ssl_context
        if first is None:
            return None
        return ReloadingContext(lambda: self.current().ssl_context or first)

    def _read_again(self) -> None:
        errors: tuple[str, ...] = ()
        try:
            newest = load(self._path)
            _check_change(self._newest, newest, self._path)
        except ConfigError as error:
            newest, errors = self._newest, error.errors
        except Exception as error:
            # Unexpected, so its text may hold a secret.
            newest = self._newest
            errors = (f"{self._path}: unexpected {type(error).__name__}: please report this as a bug",)
        if errors != self._errors:
            for line in errors:
                logger.error("Web configuration not reloaded: %s", line)
        if newest is not self._newest:
            logger.info("Web configuration reloaded")
        self._newest, self._errors = newest, errors


def _check_change(old: WebConfig, new: WebConfig, path: Path) -> None:
    """Reject changes that need a restart, and a file that is read while it is being written."""
    if old.ssl_context is None or new.ssl_context is None:
        if old.ssl_context is not new.ssl_context:
            raise ConfigError(f"{path}: tls_server_config: enabling or disabling TLS requires a restart")
    elif new.ssl_context.verify_mode < old.ssl_context.verify_mode:
        raise ConfigError(f"{path}: tls_server_config.client_auth_type: weakening it requires a restart")
    if old.users and not new.users:
        raise ConfigError(f"{path}: basic_auth_users: removing all users requires a restart")


def load(path: Path) -> WebConfig:
    """Return the web configuration in a file; raises ConfigError with all its errors."""
    version = FileVersion.of(path)  # before reading it, so that a change in between is seen at the next check
    try:
        document = strict_yaml.read_yaml(path)
    except strict_yaml.YamlError as error:
        raise ConfigError(str(error)) from None
    errors: list[str] = []
    top = Section({} if document is None else document, "", _FIELDS, errors)
    tls = top.subsection("tls_server_config", TLS_FIELDS)
    config = WebConfig(
        sources=(version, *map(FileVersion.of, named_files(tls, path.parent))),
        ssl_context=read_context(tls, path.parent) if top.read("tls_server_config", dict) else None,
        users=_read_users(top),
        headers=_read_headers(top),
    )
    if top.read("rate_limit", object) is not None:
        top.add_error("rate_limit", "is not supported: limit scrapes with --web.max-requests")
    if errors:
        raise ConfigError(*(f"{path}: {error}" for error in errors))
    return config


def _read_headers(top: Section) -> tuple[tuple[str, str], ...]:
    http = top.subsection("http_server_config", ("http2", "headers"))
    http.read("http2", bool)
    section = http.subsection("headers", _HEADERS)
    headers = {name: section.read(name, str) for name in _HEADERS}
    for name, value in headers.items():
        allowed = _HEADERS[name]
        if value and allowed and value not in allowed:
            section.add_error(name, f"must be {' or '.join(allowed)}")
        elif value and not (value.isascii() and value.isprintable()):
            section.add_error(name, "contains characters other than printable ASCII")
    return tuple((name, value) for name, value in headers.items() if value)


def _read_users(top: Section) -> Mapping[str, bytes]:
    users = top.read("basic_auth_users", dict) or {}
    for name, password_hash in users.items():
        if not isinstance(name, str) or ":" in name or name.startswith("$2") or not name.isprintable():
            top.add_error(
                "basic_auth_users",
                "has an invalid user name: expected `name: hash`, with a name that contains no colon",
            )
            continue
        match = _BCRYPT_HASH.fullmatch(password_hash) if isinstance(password_hash, str) else None
        if match is None:
            top.add_error(
                f"basic_auth_users.{name}",
                'is not a bcrypt hash: create one with `htpasswd -nBC 10 "" | tr -d ":\\n"`',
            )
        elif int(match[1]) not in _COSTS:
            top.add_error(
                f"basic_auth_users.{name}",
                f"has a cost of {match[1]}: create the hash with a cost from 10 to 14",
            )
    return {str(name): str(password_hash).encode() for name, password_hash in users.items()}
