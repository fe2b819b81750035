"""A demo portal on loopback that behaves as DocSpace server 3.7: for `--demo`, tests and other clients."""

import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import msgspec

from docspace_exporter.demo_keys import ACTIVE, DISABLED, DemoKey, User, sample_keys
from docspace_exporter.docspace.model import KEYS_PAGE

__all__ = ["DemoKey", "DemoPortal", "Response", "User", "sample_keys"]

REQUESTS_PER_MINUTE = 1500
PAGE_SIZE = 100
PERMISSIONS = (
    *("*:read", "*:write", "accounts.self:read", "accounts.self:write", "accounts:read", "accounts:write"),
    *("files:read", "files:write", "groups:read", "rooms:read", "rooms:write"),
)

_OWN_KEY = "/api/2.0/keys/@self"
_SCOPES: Mapping[str, Sequence[str]] = {
    "/api/2.0/keys": (),
    "/api/2.0/keys/permissions": (),
    "/api/2.0/people/@self": ("accounts.self:read", "accounts.self:write"),
    "/api/2.0/people/filter": ("accounts:read", "accounts:write"),
    _OWN_KEY: (),
}
"""Paths, and the scopes that allow them besides the global ones; the own key needs none."""


class Response(msgspec.Struct, frozen=True):
    """What the portal sends."""

    status: int = 200
    body: Any = None
    """JSON; None for an empty body."""
    media_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = {}


class DemoPortal:
    """A portal that runs within the context; `keys`, `members` and `refusal` may be changed while it runs."""

    def __init__(self, keys: list[DemoKey], port: int = 0, members: Sequence[User] = ()) -> None:
        """`members` have no keys; those who do are members anyway."""
        self.keys = keys
        self.members = list(members)
        self.refusal: int | None = None
        """402 while the portal is unpaid, 404 while it is suspended."""
        self.requests: deque[str] = deque(maxlen=1000)
        """The newest requests, as `GET /path`."""
        self._recent: dict[str, deque[float]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.portal = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "DemoPortal":
        serve = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="demo portal", daemon=True
        )
        serve.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def authenticate(self, authorization: str) -> DemoKey | None:
        """Return the key of a request, and set its last use, even if its owner is blocked.

        DocSpace server 3.7: `Bearer ` is case-sensitive; anything else is treated as a session token.
        """
        token = authorization.removeprefix("Bearer ")
        if token == authorization:
            return None
        for key in self.keys:
            if secrets.compare_digest(key.secret.encode(), token.strip().encode()) and key.valid():
                key.last_used = datetime.now(UTC)
                return None if key.owner.is_blocked else key
        return None

    def take_turn(self, key: DemoKey) -> bool:
        """Return whether the key's user may send one more request in this minute."""
        now = time.monotonic()
        with self._lock:
            recent = self._recent.setdefault(key.owner.id, deque())
            while recent and recent[0] <= now - 60:
                recent.popleft()
            allowed = len(recent) < REQUESTS_PER_MINUTE
            if allowed:
                recent.append(now)
            return allowed

    def respond(self, path: str, query: Mapping[str, str], authorization: str) -> Response:
        """Return the response to a GET request."""
        if self.refusal:
            return _problem(self.refusal)
        key = self.authenticate(authorization)
        if key is None:
            return Response(401)
        if not self.take_turn(key):
            limits = {"X-RateLimit-Limit": str(REQUESTS_PER_MINUTE), "X-RateLimit-Remaining": "0"}
            return Response(429, headers=limits)
        return self._respond_to(key, path, query)

    def _respond_to(self, key: DemoKey, path: str, query: Mapping[str, str]) -> Response:
        if path not in _SCOPES:
            return Response(404)
        if path != _OWN_KEY and not key.allows(*_SCOPES[path]):
            return Response(403)
        match path:
            case "/api/2.0/people/filter":
                return self._list_members(key, path, query)
            case "/api/2.0/keys":
                seen = [k for k in self.keys if key.owner.is_admin or k.owner.id == key.owner.id]
                response: Any = [k.record(self.url) for k in seen]
            case "/api/2.0/keys/permissions":
                response = PERMISSIONS
            case "/api/2.0/people/@self":
                response = key.owner.profile(self.url)
            case _:
                response = key.record(self.url)
        return self._success(path, query, response)

    def _list_members(self, key: DemoKey, path: str, query: Mapping[str, str]) -> Response:
        """DocSpace server 3.7: only admins and room admins list members, only admins see disabled ones."""
        if not key.owner.is_admin:
            return _error(403, "Access denied")
        size, start = int(query.get("count", PAGE_SIZE)), int(query.get("startIndex", 0))
        if not 1 <= size <= PAGE_SIZE:
            return _error(400, f"The field count must be between 1 and {PAGE_SIZE}.")
        status = query.get("employeeStatus")
        owners = {k.owner.id: k.owner for k in self.keys}
        known = {user.id: user for user in [*owners.values(), *self.members]}
        found = sorted(
            (
                user
                for user in known.values()
                if status is None or str(DISABLED if user.is_disabled else ACTIVE) == status
            ),
            key=lambda user: user.email,
        )
        page = [user.profile(self.url) for user in found[start : start + size]]
        return self._success(path, query, page, count=len(page), total=len(found))

    def _success(self, path: str, query: Mapping[str, str], response: Any, **counts: int) -> Response:
        """Wrap a response; the count is 1 for a list of keys, however many there are."""
        fields = [field for field in query.get("fields", "").split(",") if field]
        links = [{"href": self.url + path, "action": "GET"}]
        body = {"response": _trim(response, fields), "count": 1, **counts, "links": links}
        return Response(body={**body, "status": 0, "statusCode": 200})


def _trim(response: Any, fields: Sequence[str]) -> Any:
    """Return the records with only these fields; all of them if none are named."""
    if not fields:
        return response
    if isinstance(response, dict):
        return {name: value for name, value in response.items() if name in fields}
    return [_trim(record, fields) for record in response]


def _error(status: int, message: str) -> Response:
    return Response(status, {"status": 1, "statusCode": status, "error": {"message": message}})


def _problem(status: int) -> Response:
    document = {"title": HTTPStatus(status).phrase, "status": status}
    return Response(status, document, "application/problem+json")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    portal: DemoPortal

    def handle_error(self, *_: object) -> None:
        """Ignore clients that disconnect."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def do_GET(self) -> None:
        portal = self.server.portal
        path, _, query = self.path.partition("?")
        portal.requests.append(f"GET {path}")
        if path == KEYS_PAGE:
            self._send(200, b"<h1>Users rotate API keys here</h1>", {"Content-Type": "text/html"})
            return
        parameters = {name: values[-1] for name, values in parse_qs(query).items()}
        response = portal.respond(path, parameters, self.headers.get("Authorization", ""))
        if response.body is None:
            self._send(response.status, b"", response.headers)
            return
        content = json.dumps(response.body, ensure_ascii=False, separators=(",", ":")).encode()
        self._send(response.status, content, {"Content-Type": response.media_type, **response.headers})

    def do_POST(self) -> None:
        self.close_connection = True  # with its body unread
        self._send(405, b"The demo portal is read-only.\n", {"Allow": "GET", "Content-Type": "text/plain"})

    do_PUT = do_DELETE = do_PATCH = do_POST  # noqa: N815

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep requests out of the exporter's log."""
