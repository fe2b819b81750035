"""Clients that do not send or read what they should: `python slow_clients.py KIND COUNT PORT [CA_FILE]`.

They connect to this machine, over TLS where a CA is named, say so, and hold on until standard input ends.
"""

import contextlib
import socket
import ssl
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def silent(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    """Send nothing."""
    return _connect(port, tls)


def no_handshake(port: int, _: ssl.SSLContext | None) -> socket.socket:
    """Send nothing, not even what TLS begins with."""
    return _connect(port, None)


def half_a_request(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    """Send the beginning of a request."""
    client = _connect(port, tls)
    client.sendall(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nX-Half: ")
    return client


def never_reading(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    """Ask for the metrics, uncompressed, and do not read them."""
    client = _connect(port, tls)
    client.sendall(b"GET /metrics HTTP/1.1\r\nHost: exporter\r\n\r\n")
    return client


KINDS: dict[str, Callable[[int, ssl.SSLContext | None], socket.socket]] = {
    "silent": silent,
    "no handshake": no_handshake,
    "half a request": half_a_request,
    "never reading": never_reading,
}


def _connect(port: int, tls: ssl.SSLContext | None) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    return tls.wrap_socket(client, server_hostname="localhost") if tls else client


def main(kind: str, count: str, port: str, ca_file: str | None = None) -> None:
    """Hold the connections."""
    tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
    with contextlib.ExitStack() as clients, ThreadPoolExecutor(20) as pool:
        for client in pool.map(lambda _: KINDS[kind](int(port), tls), range(int(count))):
            clients.enter_context(client)
        print("connected", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
