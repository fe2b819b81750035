"""Members and API keys of the demo portal, and how the API shows them."""

import html
import secrets
import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

import msgspec

from docspace_exporter.docspace.model import REMOVED_MEMBER

ACTIVE, DISABLED = 1, 2
"""Status of a member (DocSpace server 3.7: EmployeeStatus)."""

_AVATARS = {"avatar": 48, "avatarOriginal": 200, "avatarMax": 200, "avatarMedium": 48, "avatarSmall": 32}


class User(msgspec.Struct, frozen=True):
    """A member of the portal."""

    display_name: str
    is_admin: bool = False
    is_guest: bool = False
    is_disabled: bool = False
    id: str = msgspec.field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def email(self) -> str:
        """A unique address."""
        return f"{self.id}@demo.example"

    @property
    def is_blocked(self) -> bool:
        """Whether the portal rejects the member's keys."""
        return self.is_disabled or self.id == REMOVED_MEMBER

    def record(self, portal_url: str) -> dict[str, Any]:
        """Return the member as the API shows the creator of a key."""
        return {
            "id": self.id,
            "displayName": _encode(self.display_name),
            **{
                name: f"/static/images/default_user_photo_size_{size}-{size}.png"
                for name, size in _AVATARS.items()
            },
            "profileUrl": f"{portal_url}/accounts/people/filter?search={quote(self.email)}",
        }

    def profile(self, portal_url: str) -> dict[str, Any]:
        """Return the member as the API lists members."""
        return {
            **self.record(portal_url),
            "email": self.email,
            "status": DISABLED if self.is_disabled else ACTIVE,
            "isAdmin": self.is_admin,
            "isOwner": False,
        }


class DemoKey(msgspec.Struct, kw_only=True):
    """An API key as the portal stores it, including the secret."""

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
        """Return whether the key is active and not expired."""
        return self.active and (self.expires is None or self.expires > datetime.now(UTC))

    def allows(self, *scopes: str) -> bool:
        """Return whether the key has one of these scopes, or reads everything."""
        return not self.permissions or not {"*", "*:read", "*:write", *scopes}.isdisjoint(self.permissions)

    def record(self, portal_url: str) -> dict[str, Any]:
        """Return the key as the API shows it: masked, and without fields that are null."""
        fields = {
            "id": self.id,
            "name": self.name,
            "key": f"sk-***{self.secret[-4:]}",
            "keyPostfix": self.secret[-4:],
            "permissions": list(self.permissions),
            "lastUsed": self.last_used and _wire_date(self.last_used),
            "createOn": _wire_date(self.created),
            "createBy": self.owner.record(portal_url),
            "expiresAt": self.expires and _wire_date(self.expires),
            "isActive": self.active,
        }
        return {field: value for field, value in fields.items() if value is not None}


def _wire_date(moment: datetime) -> str:
    offset = moment.strftime("%z")
    zone = "Z" if moment.utcoffset() == timedelta(0) else f"{offset[:3]}:{offset[3:]}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.0000000{zone}"


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
    ("signature service", "dora", 60, 0.1, 120, _WRITE, True),
    ("CRM sync", "carla", 80, 0.02, 10, _WRITE, True),
    ("nightly backup", "ann", 88, 0.4, 2, _READ, True),
    ("mail gateway", "boris", 91, 1.01, -1, _WRITE, False),
    ("chat bot", "boris", 95, 9, -5, _WRITE, False),
    ("data warehouse", "ann", 100, 0.1, 365, _READ, True),
    ("invoice import", "removed", 150, 4, 200, _WRITE, True),
    ("old website form", "carla", 200, 5, 150, _WRITE, False),
    ("migration 2025", "ann", 300, 120, 65, _WRITE, True),
    ("admin console", "ann", 310, 0.3, 55, (), True),
    ("door sign", "boris", 320, 1, None, _READ, True),
)


def sample_keys(now: datetime) -> list[DemoKey]:
    """Return keys in every state, newest first; the last is for the exporter itself."""
    users = {
        "ann": User("Ann O'Neil", is_admin=True, id=_lasting_id("ann")),
        "boris": User("Борис Ким", id=_lasting_id("boris")),
        "carla": User("Carla Gómez", id=_lasting_id("carla")),
        "dora": User("Dora Lang", is_disabled=True, id=_lasting_id("dora")),
        "removed": User("profile removed", id=REMOVED_MEMBER),
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
            id=_lasting_id(f"{name} {created}"),
        )
        for name, owner, created, used, expires, permissions, active in _SAMPLES
    ]
    own = DemoKey(
        name="prometheus exporter",
        owner=users["ann"],
        created=now - timedelta(days=330),
        expires=now + timedelta(days=180),
        permissions=("*:read",),
        id=_lasting_id("own"),
    )
    return [*keys, own]


def _lasting_id(name: str) -> str:
    """Return an id that is the same at every start, as on a portal."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
