"""What is known about a portal: its API keys, and which user and key the exporter has there."""

import msgspec

KEYS_PAGE = "/developer-tools/api-keys"
"""The page of a portal where a person creates and deletes keys (DocSpace server 3.7)."""

REMOVED_MEMBER = "4a515a15-d4d6-4b8e-828e-e0586f18f3a3"
"""The id that stands for every removed member (DocSpace server 3.7)."""


# gc=False: keys hold no cycles, and tracing 10,000 of them would delay scrapes.
class ApiKey(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One API key. Times are Unix seconds; None means that the portal does not provide the value."""

    id: str
    name: str = ""
    postfix: str = ""
    owner: str = ""
    """Display name of the member who created it."""
    owner_id: str = ""
    permissions: tuple[str, ...] | None = None
    """Sorted; empty for an unrestricted key; None if they cannot be read."""
    created: float | None = None
    expiry: float | None = None
    """Infinite for a key that never expires; None if the portal's value cannot be read."""
    last_used: float | None = None
    active: bool | None = None
    replaced: bool = False
    """Another active key of the same owner and name expires later or never."""
    malformed: tuple[str, ...] = ()
    """Fields that could not be read, as the API names them."""

    @property
    def access(self) -> str:
        """`full` or `scoped`; `unknown` if the permissions cannot be read.

        DocSpace server 3.7: an unrestricted key gets exactly the scope `*:write`.
        """
        if self.permissions is None:
            return "unknown"
        return "scoped" if self.permissions and "*:write" not in self.permissions else "full"

    @property
    def owner_removed(self) -> bool:
        """Whether the owner was removed from the portal, which then rejects the key."""
        return self.owner_id == REMOVED_MEMBER


class Schedule(msgspec.Struct, frozen=True):
    """When to ask a portal again for something."""

    due: float = 0.0
    """Unix seconds; 0 for at once."""
    failures: int = 0
    """Failed requests in a row."""


class Identity(msgspec.Struct, frozen=True):
    """Which key and user the exporter has at a portal, and what that user sees of the members.

    None means that the portal does not say.
    """

    key_digest: bytes
    own_key_id: str | None = None
    sees_every_key: bool | None = None
    disabled_members: frozenset[str] | None = None
    """Ids of the members that are disabled, whose keys the portal rejects."""
    own_key_schedule: Schedule = Schedule()
    own_user_schedule: Schedule = Schedule()
    members_schedule: Schedule = Schedule()


class Snapshot(msgspec.Struct, frozen=True):
    """What a successful poll returned."""

    keys: tuple[ApiKey, ...]
    malformed: int
    """Records that could not be read completely."""
    received: float
    """Unix seconds."""
    identity: Identity

    def owner_active(self, key: ApiKey) -> bool | None:
        """Return whether the key's owner may use the portal; None if the portal does not say.

        DocSpace server 3.7: it rejects the keys of disabled and removed members, though they stay active.
        """
        if key.owner_removed:
            return False
        disabled = self.identity.disabled_members
        return None if disabled is None or not key.owner_id else key.owner_id not in disabled
