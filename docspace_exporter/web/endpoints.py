"""The endpoints, and the limits on clients: scrapes at once, time in which an answer must be read."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from prometheus_client.exposition import gzip_accepted
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from docspace_exporter.exposition import Exposition, negotiate
from docspace_exporter.poller import Poller
from docspace_exporter.web import status_page
from docspace_exporter.web.options import WebOptions

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEALTHY_PATH = "/-/healthy"
READY_PATH = "/-/ready"
RELOAD_PATH = "/-/reload"

OPEN_PATHS = (HEALTHY_PATH, READY_PATH)
"""Need no password, so that probes work."""

_OTHERS_LIMIT = 10
"""Status pages that are worked on at once, and reloads likewise."""


class _BusyError(Exception):
    """So many requests are being worked on that one more is turned away; the text says so."""


class _Workers:
    """Threads for one kind of request, so that a flood of it holds up no other kind."""

    def __init__(self, kind: str, threads: int, limit: int) -> None:
        """`limit` requests are worked on or wait at once; 0 for any number."""
        self._kind = kind
        self._limit = limit
        self._under_way = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=kind)

    async def run(self, function: Callable[[], T]) -> T:
        """Return what a function returns; raises _BusyError."""
        if self._limit and self._under_way >= self._limit:
            raise _BusyError(f"{self._limit} {self._kind} are being worked on already, try again later.\n")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        finally:
            self._under_way -= 1


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
        # Only the work counts: a client that is slow to read must not shut others out.
        self._scrapes = _Workers("scrapes", threads=2, limit=options.max_requests)
        self._pages = _Workers("pages", threads=1, limit=_OTHERS_LIMIT)
        self._reloads = _Workers("reloads", threads=1, limit=_OTHERS_LIMIT)

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
        app = Starlette(
            routes=[Route(self._options.telemetry_path, self._metrics), *routes],
            exception_handlers={_BusyError: self._turn_away},
        )
        app.router.redirect_slashes = False
        return app

    async def _metrics(self, request: Request) -> Response:
        format_ = negotiate(request.headers.get("Accept", ""))
        gzip = gzip_accepted(request.headers.get("Accept-Encoding", ""))
        body = await self._scrapes.run(lambda: self._exposition.render(format_, gzip=gzip))
        headers = {"Content-Type": format_.value, "Vary": "Accept, Accept-Encoding"}
        if gzip:
            headers["Content-Encoding"] = "gzip"
        return Response(body, headers=headers)

    async def _page(self, request: Request) -> Response:
        wanted = request.query_params.get("filter", "")
        page = await self._pages.run(
            lambda: status_page.render(self._poller.states, wanted, self._options.telemetry_path)
        )
        return HTMLResponse(page, headers=status_page.HEADERS)

    async def _link(self, _: Request) -> Response:
        return HTMLResponse(
            status_page.render_link(self._options.telemetry_path), headers=status_page.HEADERS
        )

    async def _static(self, request: Request) -> Response:
        content, kind = status_page.STATIC_FILES[request.url.path]
        return Response(content, media_type=kind, headers={"Cache-Control": "max-age=3600"})

    async def _healthy(self, _: Request) -> Response:
        return PlainTextResponse("DocSpace exporter is healthy.\n")

    async def _ready(self, _: Request) -> Response:
        if self._poller.ready:
            return PlainTextResponse("DocSpace exporter is ready.\n")
        return PlainTextResponse("Not every portal has been polled yet.\n", 503)

    async def _on_reload(self, _: Request) -> Response:
        if not self._options.enable_lifecycle:
            return PlainTextResponse("Reloading is off: start with --web.enable-lifecycle.\n", 403)
        errors = await self._reloads.run(self._reload)
        if errors:
            return PlainTextResponse("".join(f"{error}\n" for error in errors), 500)
        return PlainTextResponse("Configuration reloaded.\n")

    async def _turn_away(self, _: Request, error: Exception) -> Response:
        return PlainTextResponse(str(error), 503, {"Retry-After": "1"})
