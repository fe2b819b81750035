"""What every request passes: internal errors, passwords and configured headers."""

import base64
import logging
import traceback
from collections.abc import Callable, Collection, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from docspace_exporter.web.config import WebConfig
from docspace_exporter.web.passwords import BusyError, PasswordChecker

logger = logging.getLogger(__name__)


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


class InternalErrorMiddleware:
    """Responds with 500 where the application fails, and logs the place."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request."""
        started: list[Message] = []

        async def note(message: Message) -> None:
            started.append(message)
            await send(message)

        try:
            await self._app(scope, receive, note)
        except ConnectionError:
            raise  # the client is gone
        except Exception as error:
            # Its text may quote anything; its type and location are enough for a bug report.
            logger.log(logging.ERROR, "Internal error: please report this as a bug", extra=_location(error))
            if not started:
                await PlainTextResponse("Internal error, see the log of the exporter.\n", 500)(
                    scope, receive, send
                )


def _location(error: BaseException) -> dict[str, str]:
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "location": f"{frames[-1].name}:{frames[-1].lineno}" if frames else "",
    }
