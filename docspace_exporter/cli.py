"""The program: puts the parts together, in the order in which things happen."""

import contextlib
import logging
import os
import platform
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import urllib3
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from starlette.types import ASGIApp

from docspace_exporter import __version__, demo, flags, logs, malloc, poller
from docspace_exporter.config.api_key import KeyUnreadableError
from docspace_exporter.config.portals import (
    Config,
    InvalidPortalsError,
    Portal,
    TlsConfig,
    load_environment,
    load_file,
)
from docspace_exporter.config.section import ConfigError, field_path
from docspace_exporter.docspace import transport
from docspace_exporter.docspace.proxy import InvalidProxyError, proxy_url
from docspace_exporter.exposition import Exposition
from docspace_exporter.flags import Flags
from docspace_exporter.formats import Format
from docspace_exporter.metrics import ExporterState
from docspace_exporter.reload import Reloader
from docspace_exporter.text import one_line
from docspace_exporter.web import server
from docspace_exporter.web.config import WatchedWebConfig
from docspace_exporter.web.endpoints import OPEN_PATHS, Endpoints
from docspace_exporter.web.middleware import (
    BasicAuthMiddleware,
    InternalErrorMiddleware,
    ResponseHeadersMiddleware,
)

logger = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.0002
"""Seconds after which a poll yields the interpreter lock, which a scrape takes a hundred times."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    exporter = ExporterState(
        version=one_line(os.environ.get("DOCSPACE_EXPORTER_VERSION") or __version__),
        revision=one_line(os.environ.get("DOCSPACE_EXPORTER_REVISION") or "unknown"),
    )
    python = platform.python_version()
    version = f"docspace-exporter {exporter.version} (revision {exporter.revision}, Python {python})"
    options = flags.parse(arguments, version)
    logs.configure(options.log_level, options.log_format)
    sys.setswitchinterval(SWITCH_INTERVAL)
    malloc.share_arena()
    # insecure_skip_verify is the operator's choice.
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    try:
        with _configuration(options) as load:
            return _run(options, exporter, load)
    except ConfigError as error:
        return _fail(*error.errors)
    except server.ListenError as error:
        return _fail(str(error))


def _fail(*messages: str) -> int:
    for message in messages:
        sys.stderr.write(f"docspace-exporter: {message}\n")
    return 1


def _run(options: Flags, exporter: ExporterState, load: Callable[[], Config]) -> int:
    if options.check:
        return _check(load, options.web_config_file)
    config = load()
    web_config = WatchedWebConfig(options.web_config_file) if options.web_config_file else None
    if options.once:
        return _once(config)
    listeners = (
        server.inherited(os.environ)
        if options.systemd_socket
        else [server.listen(address) for address in options.listen_addresses]
    )
    exposition = Exposition(exporter, _process_metrics())
    polls = poller.Poller(exposition.update)
    reloader = Reloader(load, exporter, polls, exposition)
    endpoints = Endpoints(options.web, exporter, polls, exposition, reloader.reload)
    reloader.apply(config)
    app = _with_middleware(endpoints.app(), web_config)
    tls = web_config.server_context() if web_config else None

    def on_ready() -> None:
        for listener in listeners:
            address = server.address_of(listener)
            logger.info("Listening", extra={"address": address, "version": exporter.version})
        if options.demo and not options.systemd_socket:
            _print_demo_urls(listeners[0], tls)

    with web_config.watching() if web_config else contextlib.nullcontext():
        server.serve(app, listeners, tls, on_ready, reloader.reload)
    polls.stop()
    return 0


def _with_middleware(app: ASGIApp, web_config: WatchedWebConfig | None) -> ASGIApp:
    """Return the application with its middleware."""
    if web_config:
        app = BasicAuthMiddleware(app, web_config.current, OPEN_PATHS)
    app = InternalErrorMiddleware(app)
    return ResponseHeadersMiddleware(app, web_config.current) if web_config else app


@contextlib.contextmanager
def _configuration(options: Flags) -> Iterator[Callable[[], Config]]:
    """Yield the function that loads the configuration: from the demo, the environment or a file."""
    if options.demo:
        with demo.DemoPortal(demo.sample_keys(datetime.now(UTC))) as portal:
            secret = portal.keys[-1].secret
            sys.stderr.write(
                f"A demo portal listens on {portal.url} and accepts the key {secret}\n"
                f"Try: curl -H 'Authorization: Bearer {secret}' {portal.url}/api/2.0/keys\n"
            )
            demo_portal = Portal(
                name="demo", url=portal.url, api_key=secret, poll_interval=15, poll_timeout=10
            )
            yield lambda: Config((demo_portal,), ("demo.",))
    elif os.environ.get("DOCSPACE_URL"):
        if options.config_file:
            raise ConfigError("DOCSPACE_URL and --config.file are both set: remove one")
        yield partial(load_environment, os.environ)
    elif options.config_file:
        yield partial(load_file, options.config_file)
    elif os.environ.get("DOCSPACE_API_KEY") or os.environ.get("DOCSPACE_API_KEY_FILE"):
        raise ConfigError("DOCSPACE_URL is missing: set it to the URL of the portal that the key is for")
    elif os.path.exists(flags.DEFAULT_CONFIG_FILE):  # noqa: PTH110 (Path.exists may raise PermissionError)
        yield partial(load_file, flags.DEFAULT_CONFIG_FILE)
    else:
        raise ConfigError(
            "config.yaml does not exist in the working directory: create it, set --config.file, "
            "set DOCSPACE_URL and DOCSPACE_API_KEY_FILE, or use --demo"
        )


def _check(load: Callable[[], Config], web_config_file: Path | None) -> int:
    """Report every problem of both configurations, and of the files that they name."""
    errors: list[str] = []
    portals = 0
    try:
        config = load()
        portals = len(config.portals)
        errors += _unusable_files(config)
    except InvalidPortalsError as error:
        errors += [*error.errors, *_unusable_files(error.config)]
    except ConfigError as error:
        errors += error.errors
    try:
        if web_config_file:
            WatchedWebConfig(web_config_file)
    except ConfigError as error:
        errors += error.errors
    if errors:
        return _fail(*dict.fromkeys(errors))  # of the environment, one for all portals
    return _print(f"The configuration is valid: {portals} portal{'' if portals == 1 else 's'}\n".encode())


def _unusable_files(config: Config) -> Iterator[str]:
    for place, portal in zip(config.places, config.portals, strict=True):
        try:
            if portal.api_key_file:
                portal.read_key()
        except KeyUnreadableError as error:
            yield f"{field_path(place, 'api_key_file')}: {error}"
        try:
            if portal.url.startswith("https:"):
                transport.tls_context(portal.tls_config)
            proxy_url(portal)
        except transport.TlsFilesError as error:
            is_own = portal.tls_config != TlsConfig()
            yield f"{field_path(place, 'tls_config') if is_own else 'the environment'}: {error}"
        except InvalidProxyError as error:
            yield f"the environment: {error}"


def _once(config: Config) -> int:
    """Poll every portal once and print the docspace series; a signal ends it without output."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # A poll may hang, and nothing else would end the first process of a container.
        signal.signal(number, lambda *_: os._exit(1))
    with ThreadPoolExecutor(max_workers=min(32, len(config.portals))) as workers:
        states = list(workers.map(poller.poll, map(poller.PortalState, config.portals)))
    # Without the exporter's own series: two such files on one host would collide.
    exposition = Exposition(None, CollectorRegistry())
    exposition.show(None, lambda: states, config.label_names)
    printed = _print(exposition.render(Format.TEXT, gzip=False))
    return printed if all(state.up for state in states) else 1


def _print(text: bytes) -> int:
    """Write to stdout; returns the exit code."""
    try:
        if sys.stdout is None:
            return _fail("cannot write to stdout: it is closed")
        with open(sys.stdout.fileno(), "wb", closefd=False) as output:
            output.write(text)
    except OSError as error:
        return _fail(f"cannot write to stdout: {error.strerror}")
    return 0


def _print_demo_urls(listener: socket.socket, tls: ssl.SSLContext | None) -> None:
    scheme, port = "https" if tls else "http", listener.getsockname()[1]
    sys.stderr.write(
        f"Status page: {scheme}://localhost:{port}/  metrics: {scheme}://localhost:{port}/metrics\n"
    )


def _process_metrics() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
