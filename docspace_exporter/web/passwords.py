"""Verifies passwords against bcrypt hashes without delaying other requests."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import bcrypt

LONGEST_PASSWORD = 72
"""Bytes; bcrypt ignores the rest."""

MAX_WAITING = 40
"""Passwords that may wait to be verified: about three seconds of work at a cost of 10."""


class BusyError(Exception):
    """Too many passwords are waiting to be verified."""


class PasswordChecker:
    """Runs bcrypt for one password at a time in a separate thread, and only once for a correct password.

    The last correct password of each user is remembered as a keyed digest of hash and password, which becomes
    invalid when the hash changes.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._verified: dict[str, bytes] = {}
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bcrypt")

    async def verify(self, users: Mapping[str, bytes], user: str, password: bytes) -> bool:
        """Return whether a user's password is correct; `users` maps names to hashes. Raises BusyError."""
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
                correct = self._is_remembered(user, digest) or await self._run_bcrypt(password, password_hash)
        finally:
            self._waiting -= 1
        if known and correct:
            self._verified[user] = digest
        return known and correct

    async def _run_bcrypt(self, password: bytes, password_hash: bytes) -> bool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, bcrypt.checkpw, password, password_hash)

    def _other_hash(self, users: Mapping[str, bytes], user: str) -> bytes:
        """Return the hash of some user for an unknown one, so that timing does not reveal who exists.

        An unknown user always gets the same hash, because costs may differ between users.
        """
        hashes = list(users.values())
        return hashes[int.from_bytes(self._digest(user.encode())) % len(hashes)]

    def _is_remembered(self, user: str, digest: bytes) -> bool:
        return hmac.compare_digest(self._verified.get(user, b""), digest)

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, hashlib.sha256)
