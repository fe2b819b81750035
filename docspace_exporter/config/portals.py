"""Reads the portals from a YAML file or the environment into one frozen Config, or reports all errors."""

import codecs
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from docspace_exporter import files
from docspace_exporter.config import strict_yaml
from docspace_exporter.config.section import (
    ENVIRONMENT,
    ConfigError,
    Section,
    field_path,
    is_secret,
    safe_name,
)
from docspace_exporter.net import is_loopback, split_url

DEFAULT_POLL_INTERVAL = 300.0
DEFAULT_POLL_TIMEOUT = 30.0

TAKEN_LABELS = frozenset(
    {"portal", "id", "name", "postfix", "owner", "permissions", "access", "self", "url", "reason"}
    | {"version", "revision", "python_version"}
)
"""Labels of the exporter's own series, which cannot be configured."""

_API_KEY = re.compile(r"[\x21-\x7e]+")
_MASKED_KEY = re.compile(r"sk-\*+.*")
_API_KEY_FILE_SIZE = 8192
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class KeyUnreadableError(Exception):
    """The API key cannot be read; the message says why and quotes nothing of it."""


class TlsConfig(msgspec.Struct, frozen=True):
    """How a portal is verified, and which client certificate it gets."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    insecure_skip_verify: bool = False


class Portal(msgspec.Struct, frozen=True, kw_only=True):
    """One portal to poll. Durations are seconds."""

    name: str
    url: str
    api_key: str | None = None
    api_key_file: Path | None = None
    labels: tuple[tuple[str, str], ...] = ()
    export_owner: bool = True
    poll_interval: float = DEFAULT_POLL_INTERVAL
    poll_timeout: float = DEFAULT_POLL_TIMEOUT
    proxy_url: str | None = None
    tls_config: TlsConfig = TlsConfig()

    def __repr__(self) -> str:
        return f"Portal(name={self.name!r}, url={self.url!r})"

    def read_key(self) -> str:
        """Return the API key, read from its file each time; raises KeyUnreadableError."""
        if self.api_key is not None:
            return self.api_key
        return _read_key_file(self.api_key_file or Path())


class Config(msgspec.Struct, frozen=True):
    """All portals to poll, and the place of each in the configuration for messages."""

    portals: tuple[Portal, ...]
    places: tuple[str, ...]

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels configured for any portal: the series of every portal have all of them."""
        return tuple(sorted({name for portal in self.portals for name, _ in portal.labels}))


class InvalidPortalsError(ConfigError):
    """The portals cannot be used as they are configured."""

    def __init__(self, config: Config, *errors: str) -> None:
        """`config` is what was readable: good for checking the files that it names."""
        super().__init__(*errors)
        self.config = config


_PORTAL_FIELDS = (
    *("url", "name", "api_key_file", "api_key", "labels", "export_owner", "poll_interval", "poll_timeout"),
    *("allow_http", "proxy_url", "tls_config"),
)
_ENVIRONMENT_FIELDS = ("url", "name", "api_key", "api_key_file", "poll_interval", "allow_http")
_TLS_FIELDS = ("ca_file", "cert_file", "key_file", "insecure_skip_verify")


def load_file(path: Path) -> Config:
    """Return the configuration in a YAML file; raises ConfigError with all its errors."""
    try:
        document = strict_yaml.read_yaml(path)
    except strict_yaml.YamlError as error:
        raise ConfigError(str(error)) from None
    errors: list[str] = []
    top = Section(document, "", ("poll_interval", "poll_timeout", "portals"), errors)
    interval = top.duration("poll_interval") or DEFAULT_POLL_INTERVAL
    timeout = top.duration("poll_timeout")
    _check_timeout(top, timeout, interval)
    values = top.read("portals", list) or []
    if not values:
        top.add_error("portals", "is missing or empty: list at least one portal, with url and api_key_file")
    places = tuple(f"portals[{index}]." for index in range(len(values)))
    portals = tuple(
        _read_portal(Section(value, place, _PORTAL_FIELDS, errors), path.parent, interval, timeout)
        for place, value in zip(places, values, strict=True)
    )
    errors += _repeated_names(portals)
    config = Config(portals, tuple(f"{path}: {place}" for place in places))
    if errors:
        raise InvalidPortalsError(config, *(f"{path}: {error}" for error in errors))
    return config


def load_environment(environment: Mapping[str, str]) -> Config:
    """Return the portal that DOCSPACE_URL and related variables describe; raises ConfigError."""
    values = {
        field: environment.get(field_path(ENVIRONMENT, field), "").strip() for field in _ENVIRONMENT_FIELDS
    }
    settings: dict[str, Any] = {field: value for field, value in values.items() if value}
    switch = {"true": True, "1": True, "false": False, "0": False}
    if "allow_http" in settings:
        settings["allow_http"] = switch.get(settings["allow_http"].lower(), settings["allow_http"])
    errors: list[str] = []
    section = Section(settings, ENVIRONMENT, _ENVIRONMENT_FIELDS, errors)
    config = Config((_read_portal(section, Path(), DEFAULT_POLL_INTERVAL, None),), (ENVIRONMENT,))
    if errors:
        raise InvalidPortalsError(config, *errors)
    return config


def _read_portal(section: Section, folder: Path, interval: float, timeout: float | None) -> Portal:
    """Return the portal of a section, which is meaningless if it has errors."""
    url = _read_url(section)
    name = section.read("name", str)
    if name is not None and not (name.strip() and name.isprintable()):
        section.add_error("name", "is empty or contains unprintable characters")
    elif name and is_secret(name):
        section.add_error("name", "contains an API key, which would be visible to everyone: use api_key_file")
        name = None
    interval = section.duration("poll_interval") or interval
    own_timeout = section.duration("poll_timeout")
    _check_timeout(section, own_timeout, interval)
    api_key, api_key_file = _read_key(section, folder)
    return Portal(
        name=name or url.partition("://")[2],
        url=url,
        api_key=api_key,
        api_key_file=api_key_file,
        labels=_read_labels(section),
        export_owner=section.read("export_owner", bool) is not False,
        poll_interval=interval,
        poll_timeout=own_timeout or min(timeout or DEFAULT_POLL_TIMEOUT, interval),
        proxy_url=_read_proxy(section),
        tls_config=_read_tls(section, folder),
    )


def _check_timeout(section: Section, timeout: float | None, interval: float) -> None:
    if timeout is not None and timeout > interval and not section.has_error("poll_interval"):
        section.add_error("poll_timeout", "must not be longer than poll_interval")


def _repeated_names(portals: Sequence[Portal]) -> list[str]:
    first: dict[str, int] = {}
    errors = []
    for index, portal in enumerate(portals):
        if first.setdefault(portal.name, index) != index and portal.name:
            errors.append(
                f"portals[{index}].name: {portal.name!r} is also the name of portals[{first[portal.name]}]: "
                "names must be unique"
            )
    return errors


def _read_url(section: Section) -> str:
    text = section.read("url", str)
    if text is None:
        section.add_error("url", "is missing: expected the portal's URL, such as https://acme.onlyoffice.com")
        return ""
    parts = split_url(text)
    allow_http = section.read("allow_http", bool)
    if parts is None:
        section.add_error("url", "is not a valid URL: expected one such as https://acme.onlyoffice.com")
        return ""
    if "@" in parts.netloc:
        section.add_error(
            "url", "must not contain a user or password: a portal needs an API key, in api_key_file"
        )
        return ""
    if parts.path not in {"", "/"} or "?" in text or "#" in text:
        section.add_error("url", "must not have a path, query or fragment, only scheme, host and port")
    elif (
        parts.scheme == "http"
        and not (allow_http or (is_loopback(parts.hostname or "") and not section.is_set("proxy_url")))
        and not section.has_error("allow_http")
    ):
        allow = "DOCSPACE_ALLOW_HTTP=true" if section.place == ENVIRONMENT else "allow_http: true"
        section.add_error("url", f"would send the API key unencrypted: use https, or set {allow}")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _read_key(section: Section, folder: Path) -> tuple[str | None, Path | None]:
    api_key = section.read("api_key", str)
    api_key_file = section.file_name("api_key_file")
    if api_key is not None and api_key_file is not None:
        section.add_error(
            "api_key", f"and {field_path(section.place, 'api_key_file')} are both set: remove one"
        )
    elif api_key is not None:
        if problem := _key_error(api_key):
            section.add_error("api_key", problem)
    elif not api_key_file and not section.has_error("api_key"):
        section.add_error("api_key_file", "is missing: set it to the file that contains the portal's API key")
    return api_key, folder / api_key_file if api_key_file else None


def _key_error(key: str) -> str | None:
    """Return what is wrong with a key, without quoting it; None if nothing is."""
    if not key:
        return "is empty: expected the portal's API key"
    if re.search(r"\s", key):
        return "contains white space: expected only the key, on one line, without Bearer"
    if not _API_KEY.fullmatch(key):
        return "contains characters other than printable ASCII: copy the key again"
    if _MASKED_KEY.fullmatch(key):
        return "is a masked key: the portal shows a key in full only once, so create another"
    return None


def _read_key_file(path: Path) -> str:
    try:
        content = files.read(path)
    except OSError as error:
        raise KeyUnreadableError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > _API_KEY_FILE_SIZE:
        raise KeyUnreadableError(
            f"{path} is larger than {_API_KEY_FILE_SIZE} bytes: expected only the API key"
        )
    if content.startswith(_UTF16):
        raise KeyUnreadableError(f"{path} is UTF-16: save it as plain text")
    key = content.removeprefix(codecs.BOM_UTF8).decode("latin-1").strip()
    if problem := _key_error(key):
        raise KeyUnreadableError(f"{path} {problem}")
    return key


def _read_labels(section: Section) -> tuple[tuple[str, str], ...]:
    labels = section.read("labels", dict) or {}
    for name, value in labels.items():
        if not isinstance(name, str) or not _LABEL.fullmatch(name) or name.startswith("__"):
            section.add_error(
                f"labels.{safe_name(str(name))}",
                "is not a valid label name: use letters, digits and _, without a leading digit or __",
            )
        elif name in TAKEN_LABELS or name in {"le", "quantile"}:
            section.add_error(
                f"labels.{name}", "is already a label of the exporter's series: choose another name"
            )
        elif not isinstance(value, str):
            section.add_error(f"labels.{name}", "must be a string: put it in quotes")
        elif not value.isprintable():
            section.add_error(f"labels.{name}", "contains unprintable characters")
        elif is_secret(value):
            section.add_error(
                f"labels.{name}", "contains an API key, which would be visible to everyone: use api_key_file"
            )
    return tuple(sorted((str(name), str(value)) for name, value in labels.items()))


def _read_proxy(section: Section) -> str | None:
    proxy_url = section.read("proxy_url", str)
    if proxy_url is not None and split_url(proxy_url) is None:
        section.add_error("proxy_url", "is not a valid URL: expected one such as http://proxy.example:3128")
    return proxy_url


def _read_tls(section: Section, folder: Path) -> TlsConfig:
    tls = section.subsection("tls_config", _TLS_FIELDS)
    files = {field: tls.file_name(field) for field in _TLS_FIELDS[:3]}
    if bool(files["cert_file"]) != bool(files["key_file"]):
        missing = "key_file" if files["cert_file"] else "cert_file"
        tls.add_error(missing, "is missing: cert_file and key_file must both be set")
    return TlsConfig(
        **{field: folder / file if file else None for field, file in files.items()},
        insecure_skip_verify=tls.read("insecure_skip_verify", bool) is True,
    )
