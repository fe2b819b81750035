"""One HTTP session per poll with one deadline for all of it: connecting, TLS, headers and body.

requests limits single reads only: a server that sends one byte a second would keep a poll running forever.
The sockets here use the time left until the deadline as the timeout of each read.
"""

import functools
import http.client
import os
import socket
import ssl
import time
from typing import Any

import certifi
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import create_connection

from docspace_exporter import __version__, files
from docspace_exporter.config.portals import Portal, TlsConfig
from docspace_exporter.docspace.proxy import authorization, proxy_url

RESPONSE_LIMIT = 64 * 1024 * 1024
"""Most bytes of a decompressed response."""

TRAFFIC_LIMIT = 2 * RESPONSE_LIMIT
"""Most bytes received in a poll: http.client does not limit headers and chunks."""

_CHUNK = 64 * 1024


class TooLargeError(Exception):
    """The response is larger than the limit."""


class TlsFilesError(Exception):
    """A file in tls_config cannot be used; the message says which and why."""


class Deadline:
    """When a poll ends, whatever it is doing, and how many bytes it may receive until then."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._bytes_left = TRAFFIC_LIMIT

    def left(self) -> float:
        """Return the seconds left; raises TimeoutError when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline of the poll has passed")
        return left

    def count(self, received: int) -> None:
        """Count received bytes; raises TooLargeError if they are more than any valid responses have."""
        self._bytes_left -= received
        if self._bytes_left < 0:
            raise TooLargeError

    def passed(self) -> bool:
        """Return whether the deadline has passed."""
        return time.monotonic() >= self._end


class Session:
    """Requests to one portal with one key, all within one deadline. A context manager."""

    def __init__(self, portal: Portal, key: str, deadline: Deadline) -> None:
        """Raises TlsFilesError and InvalidProxyError."""
        self._portal = portal
        self._deadline = deadline
        self._session = _Requests()
        self._session.trust_env = False
        self._session.auth = _Bearer(key)
        self._session.headers.update(
            {
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": f"docspace-exporter/{__version__}",
            }
        )
        self._session.verify = not portal.tls_config.insecure_skip_verify
        if proxy := proxy_url(portal):
            self._session.proxies = {"http": proxy, "https": proxy}
        uses_tls = portal.url.startswith("https:")
        context = tls_context(portal.tls_config) if uses_tls else _proxy_context(proxy)
        adapter = _Adapter(context, deadline)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, path: str) -> tuple[requests.Response, bytearray]:
        """Return the response and its decompressed body, which is empty if the status is not 200.

        Raises what requests and urllib3 raise, TimeoutError and TooLargeError.
        """
        body = bytearray()
        with self._session.get(
            self._portal.url + path, timeout=self._deadline.left(), allow_redirects=False, stream=True
        ) as response:
            if response.status_code != requests.codes.ok:
                return response, body
            for chunk in response.iter_content(_CHUNK):
                body += chunk
                if len(body) > RESPONSE_LIMIT:
                    raise TooLargeError
                self._deadline.left()
        return response, body


def tls_context(tls: TlsConfig) -> ssl.SSLContext:
    """Return the context to verify a portal with; raises TlsFilesError.

    Files are read each time, so a renewed one needs no restart; all portals without files share one context.
    """
    ca_file = str(tls.ca_file) if tls.ca_file else os.environ.get("REQUESTS_CA_BUNDLE", "").strip() or None
    for file in (tls.ca_file, tls.cert_file, tls.key_file):
        try:
            if file:
                files.check(file)
        except OSError as error:
            raise TlsFilesError(f"cannot use {file}: {error.strerror}") from None
    try:
        if tls == TlsConfig():
            return _default_context(ca_file)
        context = _new_context(ca_file)
    except (OSError, ValueError) as error:
        origin = "" if tls.ca_file else ", which REQUESTS_CA_BUNDLE names"
        raise TlsFilesError(f"cannot use {ca_file}{origin}: {_reason(error)}") from None
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file and tls.key_file:
        try:
            # A password prompt would hang the exporter.
            context.load_cert_chain(tls.cert_file, tls.key_file, password=lambda: "")
        except (OSError, ValueError) as error:
            raise TlsFilesError(f"cannot use {tls.cert_file} with {tls.key_file}: {_reason(error)}") from None
    return context


def _proxy_context(proxy: str | None) -> ssl.SSLContext | None:
    """Return the context to verify a proxy with, None if it is not reached over TLS."""
    return tls_context(TlsConfig()) if proxy and proxy.startswith("https:") else None


@functools.lru_cache(maxsize=2)
def _default_context(ca_file: str | None) -> ssl.SSLContext:
    return _new_context(ca_file)


def _new_context(ca_file: str | None) -> ssl.SSLContext:
    """Return a verifying context that trusts a CA file, or else what the system and certifi trust."""
    context = _BoundedContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is None:
        context.load_default_certs()
        context.load_verify_locations(cafile=certifi.where())
    else:
        context.load_verify_locations(cafile=ca_file)
        # It may hold an intermediate or the portal's own certificate, as for curl and Go.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__


class _Requests(requests.Session):
    def get_redirect_target(self, *_: object) -> None:
        """Ignore redirects: requests would read their whole body, however large, even without following."""


class _Bearer(AuthBase):
    """DocSpace server 3.7: a bare `sk-…` is treated as a cookie and rejected.

    As `auth` it also prevents a matching .netrc entry from replacing it.
    """

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class _Bounded(socket.socket):
    """A socket that stops reading at its deadline, however little each read returns."""

    deadline: Deadline | None = None

    def recv(self, *args: Any) -> bytes:
        self._set_timeout()
        received = super().recv(*args)
        self._count(len(received))
        return received

    def recv_into(self, *args: Any) -> int:
        self._set_timeout()
        received = super().recv_into(*args)
        self._count(received)
        return received

    def _count(self, received: int) -> None:
        if self.deadline is not None:
            self.deadline.count(received)

    def _set_timeout(self) -> None:
        if self.deadline is not None:
            self.settimeout(self.deadline.left())


class _BoundedTlsSocket(_Bounded, ssl.SSLSocket):
    pass


class _BoundedContext(ssl.SSLContext):
    sslsocket_class = _BoundedTlsSocket

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Wrap a socket and keep its deadline."""
        wrapped = super().wrap_socket(sock, *args, **kwargs)
        if isinstance(sock, _Bounded) and isinstance(wrapped, _Bounded):
            wrapped.deadline = sock.deadline
        return wrapped


class _Response(http.client.HTTPResponse):
    def _read_status(self) -> tuple[str, int, str]:
        """Return the final status: http.client skips 100 only, in some Pythons a hundred times at most."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status // 100 != 1 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return version, status, reason
            while self.fp.readline(_CHUNK) not in {b"\r\n", b"\n", b""}:
                pass


class _Connection(HTTPConnection):
    response_class = _Response

    def __init__(self, *args: Any, deadline: Deadline, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline = deadline

    def _new_conn(self) -> socket.socket:
        """Try each address within the time left for the poll; urllib3 would give each the whole of it."""
        addresses = socket.getaddrinfo(self._dns_host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        for position, (*_, address) in enumerate(addresses, start=1):
            try:
                connected = create_connection(
                    (str(address[0]), self.port),
                    self._deadline.left() / (len(addresses) - position + 1),
                    socket_options=self.socket_options,
                )
                break
            except OSError:
                if position == len(addresses):
                    raise
        bounded = _Bounded(fileno=connected.detach())
        bounded.deadline = self._deadline
        bounded.settimeout(self._deadline.left())
        return bounded


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Adapter(HTTPAdapter):
    """Gives each connection the deadline and the TLS context, which alone decides what is verified."""

    def __init__(self, context: ssl.SSLContext | None, deadline: Deadline) -> None:
        self._context = context
        self._deadline = deadline
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return what connects through a proxy; a proxy reached over TLS is verified by default."""
        return super().proxy_manager_for(
            proxy, ssl_context=self._context, proxy_ssl_context=_proxy_context(proxy), **kwargs
        )

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Return the headers that log in to a proxy; requests fails for characters beyond Latin-1."""
        return authorization(proxy)

    def cert_verify(self, *args: Any) -> None:
        """Leave the context as it is: requests would add its own CA file."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        connection = _TlsConnection if pool.scheme == "https" else _Connection
        pool.ConnectionCls = functools.partial(connection, deadline=self._deadline)
        return pool
