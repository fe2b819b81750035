"""DocSpace portals that respond at once with keys created beforehand, so that only the client is measured.

`python -m bench.portal KEYS PORTALS HANGING` prints their addresses as a line of JSON and serves until ended.
The last HANGING of them accept requests and never respond.
"""

import asyncio
import json
import random
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

ARRIVALS_PATH = "/arrivals"
"""Answers a list for each portal: when its keys were requested, by this machine's monotonic clock."""

_KEYS_PATH = "/api/2.0/keys"
_NAMES = ("nightly backup", "CRM sync", 'the "new" website', "Отчёты для продаж", "mail gateway", "door sign")
_PERMISSIONS = ("files:read", "files:write", "rooms:read", "rooms:write", "accounts:read")


def answer_to_keys(count: int, portal: int = 0) -> bytes:
    """Return a response of one of many portals to `GET /api/2.0/keys` of DocSpace server 3.7."""
    chance = random.Random(f"{count} {portal}")
    return _envelope([_record(chance, number) for number in range(count)])


def _record(chance: random.Random, number: int) -> dict[str, Any]:
    """Four keys in five expire; nine in ten were used; one in eight is unrestricted."""
    owner = f"{number % 50:012}"
    record = {
        "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "name": f"{chance.choice(_NAMES)} {number}",
        "key": f"sk-***{number % 65536:04x}",
        "keyPostfix": f"{number % 65536:04x}",
        "permissions": [] if chance.random() < 1 / 8 else chance.sample(_PERMISSIONS, 3),
        "lastUsed": _date(-chance.uniform(0, 200)),
        "createOn": _date(-chance.uniform(200, 400)),
        "createBy": {
            "id": f"5a1f7f0e-0000-4000-8000-{owner}",
            "displayName": f"Ann O&#39;Neil {owner}",
            "avatar": "/static/images/default_user_photo_size_48-48.png",
            "avatarOriginal": "/static/images/default_user_photo_size_200-200.png",
            "avatarSmall": "/static/images/default_user_photo_size_32-32.png",
            "profileUrl": f"https://acme.example/accounts/people/filter?search=ann{owner}%40acme.example",
            "isAnonim": False,
        },
        "expiresAt": _date(chance.uniform(-20, 365)),
        "isActive": chance.random() < 0.9,
    }
    if chance.random() < 1 / 5:
        del record["expiresAt"]
    if chance.random() < 1 / 10:
        del record["lastUsed"]
    return record


def _date(days_away: float) -> str:
    moment = datetime.now(UTC) + timedelta(days=days_away)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.0000000Z"


def _envelope(response: Any) -> bytes:
    count = len(response) if isinstance(response, list) else 1
    return json.dumps(
        {"response": response, "count": count, "links": [], "status": 0, "statusCode": 200},
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()


class _Portal:
    def __init__(self, responses: dict[str, bytes], *, hangs: bool) -> None:
        self.arrivals: list[float] = []
        self._responses = responses
        self._hangs = hangs

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
                path = target.partition("?")[0]
                if path == _KEYS_PATH:
                    self.arrivals.append(time.monotonic())
                if self._hangs:
                    await reader.read()
                    return
                body = self._responses[path]
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
                    b"Content-Length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _serve(keys: int, portals: int, hanging: int) -> None:
    identity = {
        "/api/2.0/keys/@self": _envelope({"id": "own", "name": "prometheus exporter"}),
        "/api/2.0/people/@self": _envelope({"isAdmin": True, "isOwner": False}),
        "/api/2.0/people/filter": _envelope([{"id": f"{number:036}", "status": 2} for number in range(20)]),
    }
    served = [
        _Portal({_KEYS_PATH: answer_to_keys(keys, number), **identity}, hangs=number >= portals - hanging)
        for number in range(portals)
    ]

    async def send_arrivals(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps([portal.arrivals for portal in served]).encode()
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + body)
        writer.close()

    servers = [await asyncio.start_server(portal.serve, "127.0.0.1", 0) for portal in served]
    servers.append(await asyncio.start_server(send_arrivals, "127.0.0.1", 0))
    urls = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]
    urls[-1] += ARRIVALS_PATH
    sys.stdout.write(json.dumps(urls) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(*map(int, sys.argv[1:4])))
