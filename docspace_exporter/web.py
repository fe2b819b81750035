"""The endpoints, and the limits on clients: scrapes at once, time in which an answer must be read."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec
from prometheus_client.exposition import gzip_accepted
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from docspace_exporter import status_page
from docspace_exporter.exposition import Exposition, negotiate
from docspace_exporter.poller import Poller
from docspace_exporter.server import Listener

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEALTHY_PATH = "/-/healthy"
READY_PATH = "/-/ready"
RELOAD_PATH = "/-/reload"

OPEN_PATHS = (HEALTHY_PATH, READY_PATH)
"""Need no password, so that probes work."""

WRITE_DEADLINE = 30.0
"""Seconds in which a client must have taken its answer."""

_PIECE = 64 * 1024


class WebOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the `--web.…` flags say of the endpoints."""

    telemetry_path: str = "/metrics"
    max_requests: int = 40
    enable_lifecycle: bool = False
    status_page: bool = True


class Endpoints:
    """What each path answers."""

    def __init__(
        self,
        options: WebOptions,
        poller: Poller,
        exposition: Exposition,
        reload: Callable[[], Sequence[str]],
    ) -> None:
        """`reload` returns what is wrong with the new configuration."""
        self._options = options
        self._poller = poller
        self._exposition = exposition
        self._reload = reload
        self._workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="scrape")
        self._scrapes = 0

    def app(self) -> Starlette:
        """Return the endpoints as an ASGI application."""
        root = self._page if self._options.status_page else self._link
        routes = [
            Route("/", root),
            Route(HEALTHY_PATH, self._healthy),
            Route(READY_PATH, self._ready),
            Route(RELOAD_PATH, self._on_reload, methods=["POST"]),
        ]
        if self._options.status_page:
            routes += [Route(path, self._static) for path in status_page.STATIC_FILES]
        app = Starlette(routes=[Route(self._options.telemetry_path, self._metrics), *routes])
        app.router.redirect_slashes = False
        return app

    async def _metrics(self, request: Request) -> Response:
        limit = self._options.max_requests
        if limit and self._scrapes >= limit:
            return PlainTextResponse(
                f"{limit} scrapes are being worked on already, try again later.\n", 503, {"Retry-After": "1"}
            )
        # Only the work counts: a client that is slow to read must not shut others out.
        self._scrapes += 1
        try:
            format_ = negotiate(request.headers.get("Accept", ""))
            gzip = gzip_accepted(request.headers.get("Accept-Encoding", ""))
            body = await self._work(lambda: self._exposition.render(format_, gzip=gzip))
        finally:
            self._scrapes -= 1
        headers = {"Content-Type": format_.value, "Vary": "Accept, Accept-Encoding"}
        if gzip:
            headers["Content-Encoding"] = "gzip"
        return Response(body, headers=headers)

    async def _page(self, request: Request) -> Response:
        wanted = request.query_params.get("filter", "")
        page = await self._work(
            lambda: status_page.render(self._poller.states, wanted, self._options.telemetry_path)
        )
        return HTMLResponse(page, headers=status_page.HEADERS)

    async def _link(self, _: Request) -> Response:
        return HTMLResponse(
            status_page.render_link(self._options.telemetry_path), headers=status_page.HEADERS
        )

    async def _static(self, request: Request) -> Response:
        return FileResponse(
            status_page.STATIC_FILES[request.url.path], headers={"Cache-Control": "max-age=3600"}
        )

    async def _healthy(self, _: Request) -> Response:
        return PlainTextResponse("DocSpace exporter is healthy.\n")

    async def _ready(self, _: Request) -> Response:
        if self._poller.ready:
            return PlainTextResponse("DocSpace exporter is ready.\n")
        return PlainTextResponse("Not every portal has been polled yet.\n", 503)

    async def _on_reload(self, _: Request) -> Response:
        if not self._options.enable_lifecycle:
            return PlainTextResponse("Reloading is off: start with --web.enable-lifecycle.\n", 403)
        mistakes = await self._work(self._reload)
        if mistakes:
            return PlainTextResponse("".join(f"{mistake}\n" for mistake in mistakes), 500)
        return PlainTextResponse("Configuration reloaded.\n")

    def _work(self, function: Callable[[], T]) -> Awaitable[T]:
        return asyncio.get_running_loop().run_in_executor(self._workers, function)


class Delivery:
    """Sends answers in small pieces, and cuts a client off that does not take its answer in time.

    A client that never reads so holds one piece, not a copy of the exposition, and that not for long.
    """

    def __init__(self, app: ASGIApp, listener: Listener) -> None:
        self._app = app
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of HTTP/1; hypercorn would let a client switch to what nobody scrapes by."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http" and scope["http_version"] in {"1.0", "1.1"}:
            await self._answer(scope, receive, send)
        else:
            self._listener.cut(scope["client"])

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started: list[float] = []

        async def deliver(message: Message) -> None:
            if not started:
                started.append(asyncio.get_running_loop().time())
            async with asyncio.timeout_at(started[0] + WRITE_DEADLINE):
                for piece in _pieces(message):
                    if not self._listener.is_connected(scope["client"]):
                        raise ConnectionAbortedError
                    await send(piece)

        try:
            await self._app(scope, receive, deliver)
        except TimeoutError:
            self._listener.cut(scope["client"])
        except ConnectionAbortedError:
            pass
        except Exception as error:
            # Its text may quote anything; its type and place are what a report needs.
            logger.log(logging.ERROR, "A request failed inside: please report this", extra=_place(error))
            if not started:
                await PlainTextResponse("The exporter failed, see its log.\n", 500)(scope, receive, send)


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
