"""A portal on loopback that does what no portal should: raw sockets, one behaviour at a time."""

import contextlib
import functools
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable

from tests.support.portals import RECORD, envelope

Behaviour = Callable[[socket.socket, str], None]
"""What is done with a connection, and with the head of each request that came over it."""

TLS_HANDSHAKE = b"\x16"


class FaultyPortal:
    """Serves from entering the context to leaving it; `behave` may be changed meanwhile."""

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.requests: list[str] = []
        """Of all requests so far."""
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "FaultyPortal":
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                while head := _read_head(connection):
                    self.requests.append(head)
                    self.behave(connection, head)


def _read_head(connection: socket.socket) -> str:
    """Return a request's head, or the one byte that a TLS handshake begins with; empty at the end."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and head != TLS_HANDSHAKE:
        byte = connection.recv(1)
        if not byte:
            return ""
        head += byte
    return head.decode("latin-1")


VALID_BODY = envelope([RECORD])


def http(status: int | str = 200, body: bytes = VALID_BODY, **headers: str) -> bytes:
    """Return an answer as it is sent; an underscore in a header's name stands for a hyphen."""
    given = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def respond(status: int | str = 200, body: bytes = VALID_BODY, **headers: str) -> Behaviour:
    """Answer every request so."""
    return send(http(status, body, **headers))


def send(content: bytes) -> Behaviour:
    """Send these bytes, and wait for the next request."""
    return lambda connection, _: connection.sendall(content)


def send_and_end(content: bytes) -> Behaviour:
    """Send these bytes, and no more of anything."""

    def behave(connection: socket.socket, _: str) -> None:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


def reset(connection: socket.socket, _: str) -> None:
    """End the connection as a crashed program does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def hang(connection: socket.socket, _: str) -> None:
    """Say nothing until the client goes."""
    connection.recv(1)


def drip(content: bytes, whole: bytes = b"", seconds: float = 0.05) -> Behaviour:
    """Send `whole` at once, then these bytes one by one, each well within a read's timeout."""

    def behave(connection: socket.socket, _: str) -> None:
        connection.sendall(whole)
        for byte in content:
            connection.sendall(bytes([byte]))
            time.sleep(seconds)

    return behave


def send_forever(whole: bytes, again: bytes) -> Behaviour:
    """Send `whole`, then the same bytes again and again."""

    def behave(connection: socket.socket, _: str) -> None:
        connection.sendall(whole)
        while True:
            connection.sendall(again)

    return behave


def by_path(default: Behaviour, **behaviours: Behaviour) -> Behaviour:
    """Do what is set for `keys`, `own_key`, `own_user` and `members`, and the default for the rest."""
    names = {
        "/api/2.0/keys": "keys",
        "/api/2.0/keys/@self": "own_key",
        "/api/2.0/people/@self": "own_user",
        "/api/2.0/people/filter": "members",
    }

    def behave(connection: socket.socket, head: str) -> None:
        behaviours.get(names[head.split(" ")[1].partition("?")[0]], default)(connection, head)

    return behave


@functools.cache
def bomb(mebibytes: int) -> bytes:
    """Return that many MiB of spaces, gzipped to a thousandth."""
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join(compressor.compress(b" " * 2**20) for _ in range(mebibytes)) + compressor.flush()
