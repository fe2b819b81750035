"""What is known about a portal: its API keys, and which user and key the exporter has there."""

import msgspec

KEYS_PAGE = "/developer-tools/api-keys"
"""The page of a portal where a person creates and deletes keys (DocSpace server 3.7)."""


# gc=False: keys hold no cycles, and tracing 10,000 of them would delay scrapes.
class ApiKey(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One API key. Times are Unix seconds; None means that the portal does not provide the value."""

    id: str
    name: str = ""
    postfix: str = ""
    owner: str = ""
    permissions: tuple[str, ...] | None = None
    """Sorted; empty for an unrestricted key; None if they cannot be read."""
    created: float | None = None
    expiry: float | None = None
    """Infinite for a key that never expires; None if the portal's value cannot be read."""
    last_used: float | None = None
    active: bool | None = None
    replaced: bool = False
    """Another active key of the same owner and name expires later or never."""

    @property
    def access(self) -> str:
        """`full` or `scoped`; `unknown` if the permissions cannot be read."""
        if self.permissions is None:
            return "unknown"
        return "scoped" if self.permissions else "full"


class Identity(msgspec.Struct, frozen=True):
    """Which key and user the exporter has at a portal; None means that the portal does not say."""

    key_digest: bytes
    asked: float = 0.0
    """Unix seconds; 0 to ask again at the next successful poll."""
    own_key_id: str | None = None
    sees_every_key: bool | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """What a successful poll returned."""

    keys: tuple[ApiKey, ...]
    malformed: int
    received: float
    """Unix seconds."""
    identity: Identity
