"""A misbehaving portal on loopback: raw sockets, one behaviour at a time."""

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
"""What to do with a connection at each request; the text is the request's headers."""

TLS_HANDSHAKE = b"\x16"


class FaultyPortal:
    """Serves while its context is entered; `behave` may be changed meanwhile."""

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.requests: list[str] = []
        """The request line and headers of each request so far."""
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
        """Accept no more connections."""
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
                while request := _read_request(connection):
                    self.requests.append(request)
                    self.behave(connection, request)


def _read_request(connection: socket.socket) -> str:
    """Return a request up to its body, or the first byte of a TLS handshake; empty at the end."""
    request = b""
    while not request.endswith(b"\r\n\r\n") and request != TLS_HANDSHAKE:
        byte = connection.recv(1)
        if not byte:
            return ""
        request += byte
    return request.decode("latin-1")


VALID_BODY = envelope([RECORD])


def http(status: int | str = 200, body: bytes = VALID_BODY, **headers: str) -> bytes:
    """Return an HTTP response; underscores in names of headers become hyphens."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def respond(status: int | str = 200, body: bytes = VALID_BODY, **headers: str) -> Behaviour:
    """Send the same response to every request."""
    return send(http(status, body, **headers))


def send(content: bytes) -> Behaviour:
    """Send these bytes, and wait for the next request."""
    return lambda connection, _: connection.sendall(content)


def send_and_end(content: bytes) -> Behaviour:
    """Send these bytes, and close the connection."""

    def behave(connection: socket.socket, _: str) -> None:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_RDWR)

    return behave


def reset(connection: socket.socket, _: str) -> None:
    """Reset the connection, as the system does when a program crashes."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def hang(connection: socket.socket, _: str) -> None:
    """Send nothing until the client disconnects."""
    connection.recv(1)


def drip(content: bytes, start: bytes = b"", seconds: float = 0.05) -> Behaviour:
    """Send `start` at once, then `content` byte by byte, each well within the timeout of a read."""

    def behave(connection: socket.socket, _: str) -> None:
        connection.sendall(start)
        for byte in content:
            connection.sendall(bytes([byte]))
            time.sleep(seconds)

    return behave


def send_forever(start: bytes, repeated: bytes) -> Behaviour:
    """Send `start`, then `repeated` again and again."""

    def behave(connection: socket.socket, _: str) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(repeated)

    return behave


def by_path(default: Behaviour, **behaviours: Behaviour) -> Behaviour:
    """Choose the behaviour by path: for `keys`, `own_key`, `own_user` and `members`, or else the default."""
    names = {
        "/api/2.0/keys": "keys",
        "/api/2.0/keys/@self": "own_key",
        "/api/2.0/people/@self": "own_user",
        "/api/2.0/people/filter": "members",
    }

    def behave(connection: socket.socket, request: str) -> None:
        behaviours.get(names[request.split(" ")[1].partition("?")[0]], default)(connection, request)

    return behave


@functools.cache
def bomb(mebibytes: int) -> bytes:
    """Return that many MiB of spaces, compressed with gzip to a thousandth of the size."""
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join(compressor.compress(b" " * 2**20) for _ in range(mebibytes)) + compressor.flush()
