"""The HTTP server: sockets, signals, and a prompt stop."""

import asyncio
import contextlib
import logging
import os
import re
import resource
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.types import ASGIApp

from docspace_exporter.net import split_listen_address
from docspace_exporter.web.connection import Connection

logger = logging.getLogger(__name__)

HANDSHAKE_DEADLINE = 5.0
"""Seconds for the TLS handshake, and for closing TLS."""

SEND_BUFFER = 256 * 1024
"""Bytes of a response that the system buffers for a client that does not read.

They limit the speed: 2.5 MB/s at a round trip time of 100 ms.
"""

FIRST_INHERITED = 3
"""The first of the descriptors that systemd passes."""

BACKLOG = 128
"""Connections that may be waiting to be accepted."""

GRACE = 1.0
HARD_STOP = 1.5
"""Seconds after a signal until the process exits, whatever clients and portals do."""


class ListenError(Exception):
    """Listening failed; the message says why."""


def listen(address: str) -> socket.socket:
    """Return a socket that listens on `host:port`, `:port` or `[v6]:port`; raises ListenError."""
    host, port = split_listen_address(address)
    reason: str | None = None
    try:
        for family, target in _candidates(host, port):
            try:
                return _bind(family, target)
            except OSError as error:
                reason = reason or error.strerror
    except socket.gaierror as error:
        reason = error.strerror
    except UnicodeError:
        reason = "invalid host name"
    raise ListenError(f"cannot listen on {address}: {reason}: change --web.listen-address")


def inherited(environment: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets that systemd passes (sd_listen_fds(3)); raises ListenError."""
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not re.fullmatch("[1-9][0-9]{0,3}", count):
        raise ListenError("systemd passes no socket: start the exporter by a .socket unit")
    try:
        listeners = [socket.socket(fileno=FIRST_INHERITED + number) for number in range(int(count))]
        for listener in listeners:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    except OSError as error:
        raise ListenError(f"cannot listen on a socket of systemd: {error.strerror}") from None
    if any(listener.type != socket.SOCK_STREAM for listener in listeners):
        for listener in listeners:
            listener.close()
        raise ListenError("systemd passes a socket that is no stream: set ListenStream= in its unit")
    return listeners


def _candidates(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
    """Return the addresses to try to bind, in order; without a host both IPv6 and IPv4, or else only IPv4."""
    if not host:
        return [(socket.AF_INET6, ("::", port)), (socket.AF_INET, ("", port))]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = [(family, target) for family, _, _, _, target in found]
    return sorted(addresses, key=lambda address: address[0] != socket.AF_INET)


def _bind(family: socket.AddressFamily, target: Any) -> socket.socket:
    # Without an explicit protocol, asyncio would not disable Nagle's algorithm.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(target[0] != "::"))
        listener.bind(target)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the address that a socket is bound to, as `host:port`, `[v6]:port` or the path of a file."""
    if listener.family == socket.AF_UNIX:
        return str(listener.getsockname())
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"


def serve(
    app: ASGIApp,
    listeners: Sequence[socket.socket],
    tls: ssl.SSLContext | None,
    on_ready: Callable[[], object],
    on_sighup: Callable[[], object],
) -> None:
    """Serve until SIGTERM or SIGINT; a SIGHUP, which must be blocked, calls `on_sighup` in a thread.

    `on_ready` is called once these signals are handled.
    """
    _allow_many_files()
    threading.Thread(target=_wait_for_sighup, args=(on_sighup,), name="hangups", daemon=True).start()
    asyncio.run(_serve_until_signal(app, listeners, tls, on_ready))


def _wait_for_sighup(on_sighup: Callable[[], object]) -> None:
    """Call `on_sighup` once for any number of signals that arrive during a call."""
    while True:
        signal.sigwait({signal.SIGHUP})
        on_sighup()


def _allow_many_files() -> None:
    """Raise the limit of open files to the highest that the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve_until_signal(
    app: ASGIApp,
    listeners: Sequence[socket.socket],
    tls: ssl.SSLContext | None,
    on_ready: Callable[[], object],
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_ignore_client_faults)
    stop = asyncio.Event()

    def on_stop() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # one is enough
        timer = threading.Timer(HARD_STOP, os._exit, (0,))
        timer.daemon = True
        timer.start()
        stop.set()
        logger.info("Stopping")

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    on_ready()
    await serve_until(stop, app, listeners, tls)


async def serve_until(
    stop: asyncio.Event, app: ASGIApp, listeners: Sequence[socket.socket], tls: ssl.SSLContext | None
) -> None:
    """Serve until `stop` is set, then let requests in progress end within a moment."""
    connections: dict[asyncio.Task[None], Connection] = {}

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(app, reader, writer)
        task = asyncio.ensure_future(connection.run())
        connections[task] = connection
        task.add_done_callback(connections.pop)
        await task

    deadline = HANDSHAKE_DEADLINE if tls else None
    servers = [
        await asyncio.start_server(
            connect,
            sock=listener,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=deadline,
            ssl_shutdown_timeout=deadline,
        )
        for listener in listeners
    ]
    await stop.wait()
    for server in servers:
        server.close()
    for connection in connections.values():
        connection.stop()
    if connections:
        await asyncio.wait(connections, timeout=GRACE)


def _ignore_client_faults(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log a failed handshake or a lost connection at debug level: there is nothing to act on."""
    error = context.get("exception")
    level = logging.DEBUG if isinstance(error, OSError | asyncio.CancelledError | None) else logging.ERROR
    logger.log(level, "Connection: %s", context["message"], extra={"error": type(error).__name__})
