"""Checks passwords against bcrypt hashes without letting the cost of bcrypt fall on anybody else."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

LONGEST_PASSWORD = 72
"""Bytes; bcrypt does not look at more."""

MAX_WAITING = 40
"""Checks that may wait for their turn: about three seconds' work at a cost of 10."""


class BusyError(Exception):
    """Too many passwords wait to be checked."""


class PasswordChecker:
    """Runs bcrypt for one password at a time, in a thread of its own, and once only for one that was right.

    What was right is remembered, one for each user, as a keyed digest of hash and password: when the hash
    changes it no longer counts.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bcrypt")

    async def verify(self, users: Mapping[str, bytes], user: str, password: bytes) -> bool:
        """Tell whether a password is that of one of the users, given with their hashes; raises BusyError."""
        known = user in users
        password_hash = users[user] if known else self._other_hash(users, user)
        digest = self._digest(password_hash + password)
        if known and self._is_remembered(user, digest):
            return True
        if len(password) > LONGEST_PASSWORD:
            return False
        if self._waiting >= MAX_WAITING:
            raise BusyError
        self._waiting += 1
        try:
            async with self._turn:
                right = self._is_remembered(user, digest) or await self._run_bcrypt(password, password_hash)
        finally:
            self._waiting -= 1
        if known and right:
            self._right[user] = digest
        return known and right

    async def _run_bcrypt(self, password: bytes, password_hash: bytes) -> bool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, bcrypt.checkpw, password, password_hash)

    def _other_hash(self, users: Mapping[str, bytes], stranger: str) -> bytes:
        """Return a user's hash to check a stranger's password against: the time it takes must tell nothing.

        A stranger always gets the same one, as if it were their own: costs may differ between users.
        """
        hashes = list(users.values())
        return hashes[int.from_bytes(self._digest(stranger.encode())) % len(hashes)]

    def _is_remembered(self, user: str, digest: bytes) -> bool:
        return hmac.compare_digest(self._right.get(user, b""), digest)

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, hashlib.sha256)
