"""What is known of a portal: its API keys, and who the exporter is there."""

import msgspec

KEYS_PAGE = "/developer-tools/api-keys"
"""The page of a portal where a person makes and deletes keys (DocSpace server 3.7)."""


# gc=False: keys hold no cycles, and tracing 10,000 of them would delay scrapes.
class ApiKey(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One API key. Times are Unix seconds; None is what the portal does not tell."""

    id: str
    name: str = ""
    postfix: str = ""
    owner: str = ""
    permissions: tuple[str, ...] | None = None
    """Sorted; empty for a key that may do everything its owner may; None where they cannot be read."""
    created: float | None = None
    expiry: float | None = None
    """Infinite for a key that never expires; None where the portal's value cannot be read."""
    last_used: float | None = None
    active: bool | None = None
    replaced: bool = False
    """Another active key of the same owner and name expires later or never."""

    @property
    def access(self) -> str:
        """`full` or `scoped`; `unknown` where the permissions cannot be read."""
        if self.permissions is None:
            return "unknown"
        return "scoped" if self.permissions else "full"


class Identity(msgspec.Struct, frozen=True):
    """Who the exporter is at a portal; None is what the portal does not tell."""

    key_digest: bytes
    asked: float = 0.0
    """Unix seconds; 0 to ask again at the next good poll."""
    own_key_id: str | None = None
    sees_every_key: bool | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """What a successful poll returned."""

    keys: tuple[ApiKey, ...]
    malformed: int
    received: float
    """Unix seconds."""
    identity: Identity
