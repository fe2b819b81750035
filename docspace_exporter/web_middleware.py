"""What the web configuration puts around the endpoints: passwords, and headers on every answer."""

import base64
from collections.abc import Callable, Collection, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from docspace_exporter.passwords import BusyError, PasswordChecker
from docspace_exporter.web_config import WebConfig


class ResponseHeaders:
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


class BasicAuth:
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
            if credentials and await self._passwords.is_right(users, *credentials):
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
