"""A demo portal on loopback that behaves as DocSpace server 3.7: for `--demo`, tests and other clients."""

import html
import json
import secrets
import threading
import time
import uuid
from collections import deque
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import msgspec

from docspace_exporter.docspace.model import KEYS_PAGE

REQUESTS_PER_MINUTE = 1500


class User(msgspec.Struct, frozen=True):
    """A member of the portal."""

    display_name: str
    is_admin: bool = False
    is_guest: bool = False
    id: str = msgspec.field(default_factory=lambda: str(uuid.uuid4()))

    def record(self) -> dict[str, Any]:
        """Return the member as the API shows the creator of a key."""
        return {
            "id": self.id,
            "displayName": _encode(self.display_name),
            "avatar": "/static/images/default_user_photo_size_48-48.png",
            "profileUrl": f"/accounts/people/filter?search={quote(self.display_name)}",
        }


class DemoKey(msgspec.Struct, kw_only=True):
    """An API key as the portal stores it, secret included."""

    name: str
    owner: User
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None
    permissions: tuple[str, ...] = ()
    active: bool = True
    id: str = msgspec.field(default_factory=lambda: str(uuid.uuid4()))
    secret: str = msgspec.field(default_factory=lambda: "sk-" + secrets.token_hex(32))

    def valid(self) -> bool:
        """Return whether the portal accepts the key."""
        return self.active and (self.expires is None or self.expires > datetime.now(UTC))

    def record(self) -> dict[str, Any]:
        """Return the key as the API shows it: masked, and without fields that are null."""
        fields = {
            "id": self.id,
            "name": self.name,
            "key": f"sk-***{self.secret[-4:]}",
            "keyPostfix": self.secret[-4:],
            "permissions": list(self.permissions),
            "lastUsed": self.last_used and _wire_date(self.last_used),
            "createOn": _wire_date(self.created),
            "createBy": self.owner.record(),
            "expiresAt": self.expires and _wire_date(self.expires),
            "isActive": self.active,
        }
        return {field: value for field, value in fields.items() if value is not None}


def _wire_date(moment: datetime) -> str:
    offset = moment.strftime("%z")
    zone = "Z" if moment.utcoffset() == timedelta(0) else f"{offset[:3]}:{offset[3:]}"
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0{zone}"


def _encode(text: str) -> str:
    return html.escape(text).replace("&#x27;", "&#39;")


_READ = ("files:read", "rooms:read")
_WRITE = ("files:read", "files:write", "rooms:write")
_SAMPLES: tuple[tuple[str, str, float, float | None, float | None, tuple[str, ...], bool], ...] = (
    # name, owner, created days ago, used days ago, expires in days, permissions, active
    ("intern's first script", "carla", 1, None, 89, _READ, True),
    ("chat bot", "boris", 6, 0.01, 84, _WRITE, True),
    ('"Отдел <b>продаж</b>" \\ & Co', "boris", 20, 3, 70, _READ, True),
    ("monthly report", "ann", 25, 0.2, 40, _READ, True),
    ("CRM sync", "carla", 80, 0.02, 10, _WRITE, True),
    ("nightly backup", "ann", 88, 0.4, 2, _READ, True),
    ("mail gateway", "boris", 91, 1.01, -1, _WRITE, False),
    ("chat bot", "boris", 95, 9, -5, _WRITE, False),
    ("data warehouse", "ann", 100, 0.1, 365, _READ, True),
    ("old website form", "carla", 200, 5, 150, _WRITE, False),
    ("migration 2025", "ann", 300, 120, 65, _WRITE, True),
    ("admin console", "ann", 310, 0.3, 55, (), True),
    ("door sign", "boris", 320, 1, None, _READ, True),
)


def sample_keys(now: datetime) -> list[DemoKey]:
    """Return keys in every state, newest first; the last is for the exporter itself."""
    users = {
        "ann": User("Ann O'Neil", is_admin=True),
        "boris": User("Борис Ким"),
        "carla": User("Carla Gómez"),
    }

    # DocSpace server 3.7 writes dates in the portal's time zone, or in UTC.
    zone = timezone(timedelta(hours=3))

    def away(days: float | None) -> datetime | None:
        return None if days is None else (now + timedelta(days=days)).astimezone(zone)

    keys = [
        DemoKey(
            name=name,
            owner=users[owner],
            created=now - timedelta(days=created),
            last_used=away(None if used is None else -used),
            expires=away(expires),
            permissions=permissions,
            active=active,
            # The same at every start, as on a portal.
            id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name} {created}")),
        )
        for name, owner, created, used, expires, permissions, active in _SAMPLES
    ]
    own = DemoKey(
        name="prometheus exporter",
        owner=users["ann"],
        created=now - timedelta(days=330),
        expires=now + timedelta(days=180),
        permissions=("*:read",),
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, "own")),
    )
    return [*keys, own]


class DemoPortal:
    """A portal that runs within the context; its `keys` may be changed while it runs."""

    def __init__(self, keys: list[DemoKey], port: int = 0) -> None:
        self.keys = keys
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
        """Return the key in a request, and set its last use, as the real server does.

        Without the scheme `Bearer` it is treated as a session token, of which there are none.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return None
        for key in self.keys:
            if secrets.compare_digest(key.secret.encode(), token.strip().encode()) and key.valid():
                key.last_used = datetime.now(UTC)
                return key
        return None

    def take_turn(self, key: DemoKey) -> tuple[int, int]:
        """Return how many requests the key's user may still send, and the seconds until the next one."""
        now = time.monotonic()
        with self._lock:
            recent = self._recent.setdefault(key.owner.id, deque())
            while recent and recent[0] <= now - 60:
                recent.popleft()
            left = REQUESTS_PER_MINUTE - len(recent)
            if left > 0:
                recent.append(now)
            return left - 1, 60 if not recent else max(1, round(recent[0] + 60 - now))

    def answer(self, path: str, key: DemoKey) -> tuple[int, Any]:
        """Return the status and the `response` for a path, or an error's message."""
        reads_all = not key.permissions or bool({"*:read", "*:write"} & {*key.permissions})
        match path:
            case "/api/2.0/keys" if not reads_all or key.owner.is_guest:
                return 403, "Access denied"
            case "/api/2.0/keys":
                seen = [k for k in self.keys if key.owner.is_admin or k.owner.id == key.owner.id]
                return 200, [k.record() for k in seen]
            case "/api/2.0/keys/@self":
                return 200, key.record()
            case "/api/2.0/people/@self" if not reads_all and "accounts.self:read" not in key.permissions:
                return 403, "Access denied"
            case "/api/2.0/people/@self":
                return 200, {**key.owner.record(), "isAdmin": key.owner.is_admin, "isOwner": False}
            case _:
                return 404, "Not found"


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
        path = self.path.partition("?")[0]
        portal.requests.append(f"GET {path}")
        if path == KEYS_PAGE:
            self._send(200, b"<h1>Users rotate API keys here</h1>", {"Content-Type": "text/html"})
            return
        key = portal.authenticate(self.headers.get("Authorization", ""))
        if key is None:
            self._send_json(401, "Unauthorized", {})
            return
        left, reset = portal.take_turn(key)
        if left < 0:
            self._send_json(429, "Too many requests", {"Retry-After": str(reset)})
            return
        limits = {"Limit": REQUESTS_PER_MINUTE, "Remaining": left, "Reset": int(time.time()) + reset}
        status, response = portal.answer(path, key)
        self._send_json(
            status, response, {f"X-RateLimit-{name}": str(value) for name, value in limits.items()}
        )

    def do_POST(self) -> None:
        self.close_connection = True  # with its body unread
        self._send_json(405, "Method not allowed: the demo portal is read-only", {"Allow": "GET"})

    do_PUT = do_DELETE = do_PATCH = do_POST  # noqa: N815

    def _send_json(self, status: int, response: Any, headers: dict[str, str]) -> None:
        if status == 200:
            links = [{"href": self.server.portal.url + self.path, "action": "GET"}]
            count = len(response) if isinstance(response, list) else 1
            body = {"response": response, "count": count, "links": links, "status": 0, "statusCode": 200}
        else:
            body = {"status": 1, "statusCode": status, "error": {"message": response}}
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        self._send(status, content, {"Content-Type": "application/json; charset=utf-8", **headers})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep requests out of the exporter's log."""
