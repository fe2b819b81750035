"""Whether the exporter responses on loopback: exit code 0, else 1 and the reason on stderr.

usage: healthcheck.py [PORT]

Without TLS, /-/healthy must be 200; it needs no password. With TLS, the exporter must greet back: it may want
a certificate of its clients before it says more, and this one has none.
"""

import contextlib
import http.client
import socket
import ssl
import sys

HOST = "127.0.0.1"
TIMEOUT = 2
TLS_HANDSHAKE = b"\x16"
"""The first byte of a TLS record that is part of a handshake; a rejection is an alert, 0x15."""


def main(port: int) -> int:
    """Return the exit code."""
    try:
        if _is_healthy(port) or _greets_over_tls(port):
            return 0
        reason = "neither HTTP nor TLS is spoken there"
    except OSError as error:
        reason = str(error)
    sys.stderr.write(f"The exporter is not healthy on port {port}: {reason}\n")
    return 1


def _is_healthy(port: int) -> bool:
    """Return whether /-/healthy is 200 over plain HTTP; raises OSError where nobody listens or responses."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/-/healthy")
        return connection.getresponse().status == 200
    except (http.client.HTTPException, ConnectionResetError):
        return False
    finally:
        connection.close()


def _greets_over_tls(port: int) -> bool:
    """Return whether a TLS handshake begins; raises OSError."""
    outgoing = ssl.MemoryBIO()
    handshake = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    with socket.create_connection((HOST, port), timeout=TIMEOUT) as connection:
        connection.sendall(outgoing.read())
        return connection.recv(1) == TLS_HANDSHAKE


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10059))
