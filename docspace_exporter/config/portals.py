"""Reads the portals from a YAML file or the environment into one frozen Config, or reports all errors."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from docspace_exporter.config import strict_yaml
from docspace_exporter.config.api_key import key_error, read_key_file
from docspace_exporter.config.exceptions import KeyException, read_exceptions
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
DEFAULT_EXPIRY_WARNING = 14 * 86_400.0
DEFAULT_EXPIRY_CRITICAL = 3 * 86_400.0

RESERVED_LABELS = frozenset(
    {"portal", "id", "name", "postfix", "owner", "permissions", "access", "self", "severity", "allow"}
    | {"url", "reason", "version", "revision", "python_version"}
)
"""Labels of the exporter's own series, which cannot be configured."""

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


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
    expiry_warning: float = DEFAULT_EXPIRY_WARNING
    expiry_critical: float = DEFAULT_EXPIRY_CRITICAL
    exceptions: tuple[KeyException, ...] = ()
    proxy_url: str | None = None
    tls_config: TlsConfig = TlsConfig()

    def __repr__(self) -> str:
        return f"Portal(name={self.name!r}, url={self.url!r})"

    def read_key(self) -> str:
        """Return the API key, read from its file each time; raises KeyUnreadableError."""
        if self.api_key is not None:
            return self.api_key
        return read_key_file(self.api_key_file or Path())


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
    *("expiry_warning", "expiry_critical", "exceptions", "allow_http", "proxy_url", "tls_config"),
)
_ENVIRONMENT_FIELDS = (
    *("url", "name", "api_key", "api_key_file", "poll_interval", "expiry_warning", "expiry_critical"),
    "allow_http",
)
_TOP_FIELDS = ("poll_interval", "poll_timeout", "expiry_warning", "expiry_critical", "portals")
_TLS_FIELDS = ("ca_file", "cert_file", "key_file", "insecure_skip_verify")


class _Defaults(NamedTuple):
    """What a portal inherits, in seconds."""

    poll_interval: float = DEFAULT_POLL_INTERVAL
    poll_timeout: float = DEFAULT_POLL_TIMEOUT
    expiry_warning: float = DEFAULT_EXPIRY_WARNING
    expiry_critical: float = DEFAULT_EXPIRY_CRITICAL


def load_file(path: Path) -> Config:
    """Return the configuration in a YAML file; raises ConfigError with all its errors."""
    try:
        document = strict_yaml.read_yaml(path)
    except strict_yaml.YamlError as error:
        raise ConfigError(str(error)) from None
    errors: list[str] = []
    top = Section(document, "", _TOP_FIELDS, errors)
    defaults = _read_durations(top, _Defaults())
    portals, places = [], []
    for section in top.subsections("portals", _PORTAL_FIELDS):
        portals.append(_read_portal(section, path.parent, defaults))
        places.append(f"{path}: {section.place}")
    if not portals:
        top.add_error("portals", "is missing or empty: list at least one portal, with url and api_key_file")
    errors += _repeated_names(portals)
    config = Config(tuple(portals), tuple(places))
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
    config = Config((_read_portal(section, Path(), _Defaults()),), (ENVIRONMENT,))
    if errors:
        raise InvalidPortalsError(config, *errors)
    return config


def _read_portal(section: Section, folder: Path, defaults: _Defaults) -> Portal:
    """Return the portal of a section, which is meaningless if it has errors."""
    url = _read_url(section)
    name = section.read("name", str)
    if name is not None and not (name.strip() and name.isprintable()):
        section.add_error("name", "is empty or contains unprintable characters")
    elif name and is_secret(name):
        section.add_error("name", "contains an API key, which would be visible to everyone: use api_key_file")
        name = None
    durations = _read_durations(section, defaults)
    api_key, api_key_file = _read_key(section, folder)
    return Portal(
        name=name or url.partition("://")[2],
        url=url,
        api_key=api_key,
        api_key_file=api_key_file,
        labels=_read_labels(section),
        export_owner=section.read("export_owner", bool) is not False,
        poll_interval=durations.poll_interval,
        poll_timeout=min(durations.poll_timeout, durations.poll_interval),
        expiry_warning=durations.expiry_warning,
        expiry_critical=min(durations.expiry_critical, durations.expiry_warning),
        exceptions=read_exceptions(section),
        proxy_url=_read_proxy(section),
        tls_config=_read_tls(section, folder),
    )


def _read_durations(section: Section, defaults: _Defaults) -> _Defaults:
    """Return the durations of a section, or else the inherited ones."""
    fields = defaults._asdict()
    durations = _Defaults(*(section.duration(field) or fields[field] for field in fields))
    for field, longest in (("poll_timeout", "poll_interval"), ("expiry_critical", "expiry_warning")):
        too_long = section.is_set(field) and getattr(durations, field) > getattr(durations, longest)
        if too_long and not section.has_error(longest):
            section.add_error(field, f"must not be longer than {longest}")
    return durations


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
        if problem := key_error(api_key):
            section.add_error("api_key", problem)
    elif not api_key_file and not section.has_error("api_key"):
        section.add_error("api_key_file", "is missing: set it to the file that contains the portal's API key")
    return api_key, folder / api_key_file if api_key_file else None


def _read_labels(section: Section) -> tuple[tuple[str, str], ...]:
    labels = section.read("labels", dict) or {}
    for name, value in labels.items():
        if not isinstance(name, str) or not _LABEL.fullmatch(name) or name.startswith("__"):
            section.add_error(
                f"labels.{safe_name(str(name))}",
                "is not a valid label name: use letters, digits and _, without a leading digit or __",
            )
        elif name in RESERVED_LABELS or name in {"le", "quantile"}:
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
