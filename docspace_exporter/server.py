"""Listens and serves: the socket, hypercorn's settings, signals, and a stop that nothing delays."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import threading
import weakref
from collections.abc import Callable
from typing import Any, cast

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config, Sockets
from starlette.types import ASGIApp

logger = logging.getLogger(__name__)

REQUEST_DEADLINE = 10
"""Seconds in which a client must have sent a request's head, and for which an idle connection is kept."""

HANDSHAKE_DEADLINE = 5.0
HEAD_LIMIT = 16 * 1024
"""Bytes of a request's head."""

GRACE = 1.0
HARD_STOP = 1.5
"""Seconds after a signal at which the process ends, whatever clients and portals do."""


class ListenError(Exception):
    """The address cannot be listened on; the text says why."""


class Listener(socket.socket):
    """A listening socket that can end the connections it accepted: ASGI has no way to."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._accepted: weakref.WeakValueDictionary[tuple[str, int], socket.socket] = (
            weakref.WeakValueDictionary()
        )

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection and remember it by the client's host and port."""
        connection, address = super().accept()
        self._accepted[address[:2]] = connection
        return connection, address

    def is_connected(self, client: tuple[str, int]) -> bool:
        """Tell whether the connection from a client's host and port is still open on this side."""
        connection = self._accepted.get((client[0], client[1]))
        return connection is not None and connection.fileno() >= 0

    def cut(self, client: tuple[str, int]) -> None:
        """End a client's connection, unsent data and all."""
        connection = self._accepted.get((client[0], client[1]))
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port`, `:port` or `[v6]:port`; raises ListenError."""
    host, colon, port = address.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdecimal() or int(port) > 65535 or (":" in bare and bare == host):
        raise ListenError(f"{address!r} is no address to listen on: write host:port, :port or [v6]:port")
    return bare, int(port)


def listen(address: str) -> Listener:
    """Return a socket bound to `host:port`, `:port` or `[v6]:port`; raises ListenError."""
    host, port = split_address(address)
    reason: str | None = None
    try:
        for family, target in _candidates(host, port):
            try:
                return _bind(family, target)
            except OSError as error:
                reason = reason or error.strerror
    except socket.gaierror as error:
        reason = error.strerror
    raise ListenError(f"cannot listen on {address}: {reason}: choose --web.listen-address")


def _candidates(host: str, port: int) -> list[tuple[socket.AddressFamily, Any]]:
    """Return what to try to bind, in order; without a host IPv6 and IPv4 in one, or else IPv4 alone."""
    if not host:
        return [(socket.AF_INET6, ("::", port)), (socket.AF_INET, ("", port))]
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = [(family, target) for family, _, _, _, target in found]
    return sorted(addresses, key=lambda address: address[0] != socket.AF_INET)


def _bind(family: socket.AddressFamily, target: Any) -> Listener:
    listener = Listener(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(target[0] != "::"))
        listener.bind(target)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: Listener) -> str:
    """Return the address that a socket is bound to, as `host:port` or `[v6]:port`."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if listener.family == socket.AF_INET6 else f"{host}:{port}"


class _Config(Config):
    """hypercorn's settings, with our own socket and TLS context."""

    def __init__(self, listener: Listener, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self._listener = listener
        self._tls = tls
        self.keep_alive_timeout = REQUEST_DEADLINE
        # hypercorn would count reading a slow client's answer as reading its request.
        self.read_timeout = None
        self.ssl_handshake_timeout = HANDSHAKE_DEADLINE
        self.h11_max_incomplete_size = HEAD_LIMIT
        self.graceful_timeout = GRACE
        self.include_server_header = False
        self.accesslog = None
        self.errorlog = logging.getLogger("hypercorn.error")

    @property
    def ssl_enabled(self) -> bool:
        return self._tls is not None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self._tls

    def create_sockets(self) -> Sockets:
        return Sockets([self._listener], [], []) if self._tls else Sockets([], [self._listener], [])


def serve(
    app: ASGIApp, listener: Listener, tls: ssl.SSLContext | None, on_hangup: Callable[[], object]
) -> None:
    """Serve until SIGTERM or SIGINT; a SIGHUP calls `on_hangup` in a thread."""
    asyncio.run(_serve(app, _Config(listener, tls), on_hangup))


async def _serve(app: ASGIApp, config: _Config, on_hangup: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_ignore_client_faults)
    stop = asyncio.Event()

    def on_stop() -> None:
        logger.info("Stopping")
        stop.set()
        timer = threading.Timer(HARD_STOP, os._exit, (0,))
        timer.daemon = True
        timer.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: loop.run_in_executor(None, on_hangup))
    # hypercorn and starlette type the same ASGI messages differently.
    await hypercorn_serve(cast("Any", app), config, shutdown_trigger=stop.wait, mode="asgi")


def _ignore_client_faults(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log a failed handshake or a connection lost as what it is: nothing to act on."""
    error = context.get("exception")
    level = logging.DEBUG if isinstance(error, OSError | None) else logging.ERROR
    logger.log(level, "Connection: %s", context["message"], extra={"error": type(error).__name__})
