"""What the web configuration puts around the endpoints: passwords, and headers on every answer."""

import asyncio
import base64
import logging
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from docspace_exporter.web.config import WebConfig
from docspace_exporter.web.passwords import BusyError, PasswordChecker

logger = logging.getLogger(__name__)

WRITE_DEADLINE = 30.0
"""Seconds in which a client must have taken its answer."""

_PIECE = 64 * 1024


class ResponseHeadersMiddleware:
    """Sets the configured headers on every answer, in place of the endpoint's own of that name."""

    def __init__(self, app: ASGIApp, current: Callable[[], WebConfig]) -> None:
        self._app = app
        self._current = current

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(dict(self._current().headers))
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BasicAuthMiddleware:
    """Lets in whoever gives a configured user's name and password; everybody while there is no such user."""

    def __init__(
        self, app: ASGIApp, current: Callable[[], WebConfig], open_paths: Collection[str] = ()
    ) -> None:
        """Take the paths that need no password; all others do."""
        self._app = app
        self._current = current
        self._open_paths = frozenset(open_paths)
        self._passwords = PasswordChecker()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, or 401; 503 while too many passwords wait to be checked."""
        users = self._current().users
        is_open = not users or scope["type"] == "lifespan" or scope["path"] in self._open_paths
        answer = self._app if is_open else await self._refusal(scope, users) or self._app
        await answer(scope, receive, send)

    async def _refusal(self, scope: Scope, users: Mapping[str, bytes]) -> Response | None:
        credentials = _credentials(scope)
        try:
            if credentials and await self._passwords.verify(users, *credentials):
                return None
        except BusyError:
            return PlainTextResponse("Too many passwords to check: try again.\n", 503, {"Retry-After": "1"})
        return PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": "Basic"})


def _credentials(scope: Scope) -> tuple[str, bytes] | None:
    """Return the user and password of a request; None where there are none that can be read."""
    scheme, _, encoded = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except ValueError:
        return None


class SlowClientMiddleware:
    """Sends answers in small pieces, and cuts a client off that does not take its answer in time.

    A client that never reads so holds one piece, not a copy of the exposition, and that not for long.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        transport: asyncio.Transport = scope["state"]["transport"]
        if scope["type"] != "http" or scope["http_version"] not in {"1.0", "1.1"}:
            # hypercorn lets a client switch to WebSocket or HTTP/2, which nobody scrapes by.
            transport.abort()
            return
        started: list[float] = []

        async def deliver(message: Message) -> None:
            if not started:
                started.append(asyncio.get_running_loop().time())
            async with asyncio.timeout_at(started[0] + WRITE_DEADLINE):
                for piece in _pieces(message):
                    if transport.is_closing():
                        raise ConnectionAbortedError
                    await send(piece)

        gone = asyncio.create_task(_disconnection(receive))
        try:
            await self._app(scope, lambda: asyncio.shield(gone), deliver)
        except TimeoutError:
            transport.abort()
        except ConnectionAbortedError:
            pass
        except Exception as error:
            # Its text may quote anything; its type and place are what a report needs.
            logger.log(logging.ERROR, "A request failed inside: please report this", extra=_place(error))
            if not started:
                await PlainTextResponse("The exporter failed, see its log.\n", 500)(scope, receive, send)
        finally:
            gone.cancel()


async def _disconnection(receive: Receive) -> Message:
    """Return the news that the client has gone; its request's body, which no endpoint reads, is let go.

    hypercorn would wait for somebody to take the body, even after the client has gone.
    """
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message


def _pieces(message: Message) -> Iterator[Message]:
    body = memoryview(message.get("body", b""))
    if len(body) <= _PIECE:
        yield message
        return
    for begin in range(0, len(body), _PIECE):
        more = message.get("more_body", False) or begin + _PIECE < len(body)
        yield {**message, "body": body[begin : begin + _PIECE], "more_body": more}


def _place(error: BaseException) -> dict[str, str]:
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "place": f"{frames[-1].name}:{frames[-1].lineno}" if frames else "",
    }
