"""A client's connection: HTTP/1.1 by h11, responses by an ASGI application, and a deadline for each part."""

import asyncio
import contextlib
from email.utils import formatdate
from functools import partial
from urllib.parse import unquote

import h11
from starlette.types import ASGIApp, Message, Scope

REQUEST_DEADLINE = 10
"""Seconds within which a client must send a request's headers, and for which a connection may be idle."""

RESPONSE_DEADLINE = 30.0
"""Seconds from a request's headers to the end of its response, however slowly the client reads it."""

LINGER_DEADLINE = 2.0
"""Seconds for the client to close the connection first: data that nobody reads would reset it."""

HEAD_LIMIT = 16 * 1024
"""Bytes of a request's headers."""

BODY_LIMIT = 256 * 1024
"""Bytes of a request's body that are discarded for the sake of the connection."""

_PIECE = 128 * 1024
"""Bytes of a response that a client must take before it gets more; so one that never reads takes no more."""


class Connection:
    """Serves the requests of one client, one after another."""

    def __init__(self, app: ASGIApp, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._app = app
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        self._stopping = False
        # drain() then waits until the system has taken everything; 0 would stop TLS for good.
        writer.transport.set_write_buffer_limits(1, 0)

    def stop(self) -> None:
        """End after the response in progress; at once if there is none."""
        self._stopping = True
        if self._http.our_state not in {h11.SEND_RESPONSE, h11.SEND_BODY}:
            self._writer.transport.abort()

    async def run(self) -> None:
        """Serve until the connection ends, whoever ends it."""
        try:
            while await self._exchange():
                self._http.start_next_cycle()
            await self._linger()
        except OSError:
            # The client is gone, or too slow.
            self._writer.transport.abort()
        finally:
            self._writer.close()

    async def _exchange(self) -> bool:
        """Receive a request and respond; returns whether another may follow."""
        request = await self._receive_request()
        if request is None:
            return False
        async with asyncio.timeout(RESPONSE_DEADLINE):
            if self._http.they_are_waiting_for_100_continue:
                await self._write(h11.InformationalResponse(status_code=100, headers=[]))
            if request.http_version.startswith(b"1."):
                await self._app(_scope(request, self._writer), _receive, partial(self._send, request))
            else:
                await self._reject(505)
            with contextlib.suppress(h11.RemoteProtocolError):
                await self._discard_body()
        return not self._stopping and self._http.our_state is self._http.their_state is h11.DONE

    async def _receive_request(self) -> h11.Request | None:
        try:
            async with asyncio.timeout(REQUEST_DEADLINE):
                event = await self._next_event()
        except TimeoutError:
            return None
        except h11.RemoteProtocolError as error:
            async with asyncio.timeout(RESPONSE_DEADLINE):
                await self._reject(error.error_status_hint)
            return None
        return event if isinstance(event, h11.Request) else None

    async def _next_event(self) -> h11.Event:
        while not isinstance(event := self._http.next_event(), h11.Event):
            self._http.receive_data(await self._reader.read(HEAD_LIMIT))
        return event

    async def _reject(self, status: int) -> None:
        headers = [("Content-Length", "0"), ("Connection", "close")]
        await self._write(h11.Response(status_code=status, headers=headers))
        await self._write(h11.EndOfMessage())

    async def _send(self, request: h11.Request, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [("date", formatdate(usegmt=True)), *message.get("headers", ())]
            if self._stopping:
                headers.append(("connection", "close"))
            await self._write(h11.Response(status_code=message["status"], headers=headers))
            return
        body = b"" if request.method == b"HEAD" else message.get("body", b"")
        for start in range(0, len(body), _PIECE):
            await self._write(h11.Data(data=body[start : start + _PIECE]))
        if not message.get("more_body", False):
            await self._write(h11.EndOfMessage())

    async def _write(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")
        try:
            await self._writer.drain()
        except OSError:
            raise ConnectionAbortedError from None

    async def _discard_body(self) -> None:
        """Read what remains of the request, unless it is long or the connection ends anyway."""
        left = BODY_LIMIT
        while self._http.our_state is h11.DONE and self._http.their_state is h11.SEND_BODY and left > 0:
            event = await self._next_event()
            left -= len(event.data) if isinstance(event, h11.Data) else 0

    async def _linger(self) -> None:
        if self._writer.can_write_eof():
            self._writer.write_eof()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_DEADLINE):
                while await self._reader.read(_PIECE):
                    pass


def _scope(request: h11.Request, writer: asyncio.StreamWriter) -> Scope:
    target = _origin_form(request.target)
    path, _, query = target.partition(b"?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": request.http_version.decode(),
        "method": request.method.decode(),
        "scheme": "https" if writer.get_extra_info("ssl_object") else "http",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": list(request.headers),
    }


def _origin_form(target: bytes) -> bytes:
    """Return the path and query of a target that may be a URL (RFC 9112, 3.2.2)."""
    if not target.lower().startswith((b"http://", b"https://")):
        return target
    _, _, rest = target.partition(b"://")
    end = min((place for place in map(rest.find, (b"/", b"?")) if place >= 0), default=len(rest))
    path = rest[end:]
    return path if path.startswith(b"/") else b"/" + path


async def _receive() -> Message:
    """Return an empty body: no endpoint reads one."""
    return {"type": "http.request", "body": b"", "more_body": False}
