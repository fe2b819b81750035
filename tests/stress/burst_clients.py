"""Clients that all ask for the metrics at once: `python burst_clients.py COUNT PORT [HEADER…]`.

They do so for each line of standard input. After each burst it prints how many of them got each status, or 0
for none, as JSON.
"""

import asyncio
import collections
import json
import sys
from collections.abc import Sequence

REQUEST = ("GET /metrics HTTP/1.1", "Host: exporter", "Accept-Encoding: gzip")


async def scrape(port: int, headers: Sequence[str]) -> int:
    """Return the status of a whole response."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write("\r\n".join([*REQUEST, *headers, "", ""]).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        while length and (piece := await reader.read(2**20)):
            length -= len(piece)
        writer.close()
        return int(head.split()[1]) if not length else 0
    except (OSError, asyncio.IncompleteReadError):
        return 0


async def burst(count: int, port: int, headers: Sequence[str]) -> None:
    """Scrape at once."""
    statuses = collections.Counter(await asyncio.gather(*(scrape(port, headers) for _ in range(count))))
    print(json.dumps(statuses), flush=True)


if __name__ == "__main__":
    for _ in sys.stdin:
        asyncio.run(burst(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
