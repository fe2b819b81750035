"""What every request passes: slow-client protection, passwords and configured headers."""

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
"""Seconds within which a client must have read its response."""

_PIECE = 64 * 1024


class ResponseHeadersMiddleware:
    """Sets the configured headers on every response, replacing the endpoint's own."""

    def __init__(self, app: ASGIApp, current: Callable[[], WebConfig]) -> None:
        self._app = app
        self._current = current

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond like the application."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(dict(self._current().headers))
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BasicAuthMiddleware:
    """Requires the name and password of a configured user, if there are any users."""

    def __init__(
        self, app: ASGIApp, current: Callable[[], WebConfig], open_paths: Collection[str] = ()
    ) -> None:
        """`open_paths` need no password."""
        self._app = app
        self._current = current
        self._open_paths = frozenset(open_paths)
        self._passwords = PasswordChecker()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond like the application, with 401, or with 503 while too many passwords are waiting."""
        users = self._current().users
        is_open = not users or scope["type"] == "lifespan" or scope["path"] in self._open_paths
        respond = self._app if is_open else await self._rejection(scope, users) or self._app
        await respond(scope, receive, send)

    async def _rejection(self, scope: Scope, users: Mapping[str, bytes]) -> Response | None:
        credentials = _credentials(scope)
        try:
            if credentials and await self._passwords.verify(users, *credentials):
                return None
        except BusyError:
            return PlainTextResponse("Too many login attempts, try again later.\n", 503, {"Retry-After": "1"})
        return PlainTextResponse("Unauthorized\n", 401, {"WWW-Authenticate": "Basic"})


def _credentials(scope: Scope) -> tuple[str, bytes] | None:
    """Return the user and password of a request; None if there are none or they are malformed."""
    scheme, _, encoded = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except ValueError:
        return None


class SlowClientMiddleware:
    """Sends responses in small pieces, and disconnects clients that do not read them in time.

    A client that never reads then takes the memory of one piece, not of the whole exposition.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request."""
        transport: asyncio.Transport = scope["state"]["transport"]
        if scope["type"] != "http" or scope["http_version"] not in {"1.0", "1.1"}:
            # HTTP/2 without an offer to switch to it.
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
            # Its text may quote anything; its type and location are enough for a bug report.
            logger.log(logging.ERROR, "Internal error: please report this as a bug", extra=_location(error))
            if not started:
                await PlainTextResponse("Internal error, see the log of the exporter.\n", 500)(
                    scope, receive, send
                )
        finally:
            gone.cancel()


async def _disconnection(receive: Receive) -> Message:
    """Return the message that the client has disconnected; the body of its request is discarded.

    hypercorn would wait for an endpoint to read the body, even after the client has disconnected.
    """
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message


def _pieces(message: Message) -> Iterator[Message]:
    body = memoryview(message.get("body", b""))
    if len(body) <= _PIECE:
        yield message
        return
    for start in range(0, len(body), _PIECE):
        more = message.get("more_body", False) or start + _PIECE < len(body)
        yield {**message, "body": body[start : start + _PIECE], "more_body": more}


def _location(error: BaseException) -> dict[str, str]:
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "location": f"{frames[-1].name}:{frames[-1].lineno}" if frames else "",
    }
