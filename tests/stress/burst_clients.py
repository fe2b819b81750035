"""Clients that all ask for the metrics at once: `python burst_clients.py COUNT PORT`.

They do so for each line of standard input. After each burst it prints how many of them got each status, or 0
for none, as JSON.
"""

import asyncio
import collections
import json
import sys

REQUEST = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"


async def scrape(port: int) -> int:
    """Return the status of a whole response."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        while length and (piece := await reader.read(2**20)):
            length -= len(piece)
        writer.close()
        return int(head.split()[1]) if not length else 0
    except (OSError, asyncio.IncompleteReadError):
        return 0


async def burst(count: int, port: int) -> None:
    """Scrape at once."""
    statuses = collections.Counter(await asyncio.gather(*(scrape(port) for _ in range(count))))
    print(json.dumps(statuses), flush=True)


if __name__ == "__main__":
    for _ in sys.stdin:
        asyncio.run(burst(int(sys.argv[1]), int(sys.argv[2])))
