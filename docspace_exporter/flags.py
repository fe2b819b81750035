"""Parses the command line."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from docspace_exporter import logs, net
from docspace_exporter.text import one_line
from docspace_exporter.web.options import WebOptions

DEFAULT_CONFIG_FILE = Path("config.yaml")
DEFAULT_LISTEN_ADDRESS = ":10059"


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """The parsed command line."""

    config_file: Path | None
    """None if not set: then the environment or the default file is used."""
    check: bool
    once: bool
    demo: bool
    listen_addresses: tuple[str, ...]
    systemd_socket: bool
    """Listen on the sockets that systemd passes, not on addresses."""
    web_config_file: Path | None
    web: WebOptions
    log_level: str
    log_format: str


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {one_line(message)}: see {self.prog} --help\n")
        raise SystemExit(2)


def parse(arguments: Sequence[str] | None, version: str) -> Flags:
    """Return the flags; raises SystemExit, with code 2 if any is invalid."""
    parser = _parser(version)
    given, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(_refusal(unknown[0]))
    path = given.web_telemetry_path
    if not re.fullmatch(r"/[\w.~/-]*", path) or path.startswith("/-/"):
        parser.error(f"argument --web.telemetry-path: {path!r} must start with / and not with /-/")
    if given.web_max_requests < 0:
        parser.error("argument --web.max-requests: must not be negative")
    if given.web_systemd_socket and given.web_listen_addresses:
        parser.error("argument --web.systemd-socket: not allowed with --web.listen-address")
    addresses = tuple(given.web_listen_addresses or [DEFAULT_LISTEN_ADDRESS])
    try:
        for address in addresses:
            net.split_listen_address(address)
    except net.AddressError as error:
        parser.error(f"argument --web.listen-address: {error}")
    if given.demo and given.config_file:
        parser.error("argument --demo: not allowed with --config.file")
    return Flags(
        config_file=given.config_file,
        check=given.config_check,
        once=given.once,
        demo=given.demo,
        listen_addresses=addresses,
        systemd_socket=given.web_systemd_socket,
        web_config_file=given.web_config_file,
        web=WebOptions(
            telemetry_path=path,
            max_requests=given.web_max_requests,
            enable_lifecycle=given.web_enable_lifecycle,
            status_page=given.web_status_page and path != "/",
        ),
        log_level=given.log_level,
        log_format=given.log_format,
    )


def _refusal(argument: str) -> str:
    """Return the message for an unknown argument, without its value, which may be a secret."""
    name = argument.partition("=")[0]
    return f"unknown flag {name}" if name.startswith("-") else "unexpected argument"


def _parser(version: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="docspace-exporter",
        description="Prometheus exporter for ONLYOFFICE DocSpace API keys.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--config.file",
        dest="config_file",
        type=Path,
        metavar="FILE",
        help="configuration file (default: config.yaml)",
    )
    add(
        "--config.check",
        dest="config_check",
        action="store_true",
        help="check the configuration, report all errors and exit",
    )
    add(
        "--once",
        action="store_true",
        help="poll every portal once, print the series and exit; exit code 1 if a poll failed",
    )
    add("--demo", action="store_true", help="export a built-in demo portal; needs no configuration")
    add(
        "--web.listen-address",
        dest="web_listen_addresses",
        action="append",
        metavar="ADDRESS",
        help=f"address to listen on; may be repeated (default: {DEFAULT_LISTEN_ADDRESS})",
    )
    add(
        "--web.systemd-socket",
        dest="web_systemd_socket",
        action="store_true",
        help="listen on the sockets that systemd passes",
    )
    add(
        "--web.telemetry-path",
        dest="web_telemetry_path",
        default="/metrics",
        metavar="PATH",
        help="path under which to expose metrics (default: /metrics)",
    )
    add(
        "--web.config.file",
        dest="web_config_file",
        type=Path,
        metavar="FILE",
        help="file that enables TLS or basic auth, in the format of exporter-toolkit",
    )
    add(
        "--web.max-requests",
        dest="web_max_requests",
        type=int,
        default=40,
        metavar="N",
        help="maximum number of concurrent renderings; more get 503; 0 for no limit (default: 40)",
    )
    add(
        "--web.enable-lifecycle",
        dest="web_enable_lifecycle",
        action="store_true",
        help="enable reloading with POST /-/reload",
    )
    add(
        "--no-web.status-page",
        dest="web_status_page",
        action="store_false",
        help="serve only a link to the metrics at /, no status page",
    )
    add(
        "--log.level",
        dest="log_level",
        choices=logs.LEVELS,
        default="info",
        help="only log messages of this severity or above (default: info)",
    )
    add(
        "--log.format",
        dest="log_format",
        choices=logs.FORMATS,
        default="logfmt",
        help="format of log messages (default: logfmt)",
    )
    add("--version", action="version", version=version, help="print the version and exit")
    return parser
