"""What checking a password costs, and whom."""

import asyncio
from collections.abc import Coroutine, Mapping

import bcrypt
import pytest

from docspace_exporter.web.passwords import MAX_WAITING, BusyError, PasswordChecker


def hashed(password: str, cost: int = 4) -> bytes:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost))


USERS = {"prometheus": hashed("right")}


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The hashes that bcrypt has been run with, in order."""
    hashes = []
    checkpw = bcrypt.checkpw

    def record(password: bytes, password_hash: bytes) -> bool:
        hashes.append(password_hash)
        return checkpw(password, password_hash)

    monkeypatch.setattr(bcrypt, "checkpw", record)
    return hashes


def check(
    *attempts: tuple[str, bytes], users: Mapping[str, bytes] = USERS, checker: PasswordChecker | None = None
) -> list[bool]:
    """Try users' passwords one after the other."""
    checker = checker or PasswordChecker()

    async def try_all() -> list[bool]:
        return [await checker.verify(users, *attempt) for attempt in attempts]

    return asyncio.run(try_all())


def test_bcrypt_runs_once_for_a_correct_password_and_each_time_for_a_wrong_one(checked: list[bytes]) -> None:
    right, wrong = ("prometheus", b"right"), ("prometheus", b"wrong")
    assert check(right, wrong, right, wrong, right) == [True, False, True, False, True]
    assert len(checked) == 3


def test_an_unknown_user_takes_as_long_as_a_known_one(checked: list[bytes]) -> None:
    assert check(("stranger", b"right"), ("stranger", b"right")) == [False, False]
    assert checked == [USERS["prometheus"]] * 2


def test_each_unknown_user_has_a_fixed_cost_among_those_in_use(checked: list[bytes]) -> None:
    users = {"cheap": hashed("right", 4), "dear": hashed("right", 5)}
    strangers = [(f"stranger {number}", b"right") for number in range(50)]
    checker = PasswordChecker()
    assert not any(check(*strangers, *strangers, users=users, checker=checker))
    assert checked[:50] == checked[50:]
    assert set(checked) == set(users.values())


def test_a_password_that_bcrypt_would_truncate_is_rejected_without_hashing(checked: list[bytes]) -> None:
    longest = "p" * 72
    users = {"prometheus": hashed(longest)}
    attempts = (("prometheus", f"{longest}p".encode()), ("prometheus", longest.encode()))
    assert check(*attempts, users=users) == [False, True]
    assert len(checked) == 1


def test_a_cached_password_is_valid_for_its_own_hash_only() -> None:
    checker = PasswordChecker()
    right = ("prometheus", b"right")
    assert check(right, checker=checker) == [True]
    assert check(right, users={"prometheus": hashed("other")}, checker=checker) == [False]
    assert check(right, users={"grafana": hashed("other")}, checker=checker) == [False]
    assert check(right, checker=checker) == [True]


def test_a_password_is_cached_as_a_digest_only() -> None:
    checker = PasswordChecker()
    assert check(("prometheus", b"right"), checker=checker) == [True]
    assert "right" not in repr(vars(checker).values())


def test_one_password_tried_by_many_at_once_is_checked_once(checked: list[bytes]) -> None:
    checker = PasswordChecker()

    async def try_at_once() -> list[bool]:
        return await asyncio.gather(*(checker.verify(USERS, "prometheus", b"right") for _ in range(10)))

    assert asyncio.run(try_at_once()) == [True] * 10
    assert len(checked) == 1


def test_bcrypt_does_not_delay_other_clients() -> None:
    users = {"prometheus": hashed("right", 12)}

    async def others_go_on() -> bool:
        attempt = asyncio.create_task(PasswordChecker().verify(users, "prometheus", b"right"))
        await asyncio.sleep(0.01)
        assert not attempt.done()
        return await attempt

    assert asyncio.run(others_go_on())


def test_a_flood_of_wrong_passwords_is_limited_and_blocks_no_cached_client() -> None:
    checker = PasswordChecker()

    async def flood() -> tuple[int, int]:
        assert await checker.verify(USERS, "prometheus", b"right")
        guesses = [checker.verify(USERS, "prometheus", b"guess %d" % number) for number in range(60)]
        tasks = [asyncio.create_task(_or_busy(guess)) for guess in guesses]
        await asyncio.sleep(0)
        busy = [task for task in tasks if task.done()]
        assert await checker.verify(USERS, "prometheus", b"right")
        assert [task for task in tasks if task.done()] == busy
        outcomes = await asyncio.gather(*tasks)
        return outcomes.count("busy"), outcomes.count("wrong")

    assert asyncio.run(flood()) == (60 - MAX_WAITING, MAX_WAITING)


def test_clients_that_disconnect_make_room_for_others() -> None:
    checker = PasswordChecker()

    async def give_up() -> str:
        guesses = [checker.verify(USERS, "prometheus", b"guess") for _ in range(MAX_WAITING)]
        tasks = [asyncio.create_task(_or_busy(guess)) for guess in guesses]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return await _or_busy(checker.verify(USERS, "prometheus", b"right"))

    assert asyncio.run(give_up()) == "right"


async def _or_busy(attempt: Coroutine[None, None, bool]) -> str:
    try:
        return "right" if await attempt else "wrong"
    except BusyError:
        return "busy"
