"""The HTTP endpoints, and how many requests of each kind are served at once."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from docspace_exporter.exposition import Exposition
from docspace_exporter.formats import Format
from docspace_exporter.metrics import ExporterState
from docspace_exporter.poller import Poller
from docspace_exporter.web import negotiation, status_page
from docspace_exporter.web.options import WebOptions

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEALTHY_PATH = "/-/healthy"
READY_PATH = "/-/ready"
RELOAD_PATH = "/-/reload"

OPEN_PATHS = (HEALTHY_PATH, READY_PATH)
"""Paths that need no password, so that probes work."""

_OTHERS_LIMIT = 10
"""Status pages rendered at once, and reloads run at once."""


class _BusyError(Exception):
    """Too many requests of this kind are in progress; the message says so."""


class _Workers:
    """Threads for one kind of request, so that many of them do not delay other kinds."""

    def __init__(self, kind: str, threads: int, limit: int) -> None:
        """`limit` is how many requests may be in progress or waiting; 0 means no limit."""
        self._kind = kind
        self._limit = limit
        self._in_progress = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=kind)

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function in a thread and return its result; raises _BusyError."""
        if self._limit and self._in_progress >= self._limit:
            raise _BusyError(f"Limit of concurrent {self._kind} reached ({self._limit}), try again later.\n")
        self._in_progress += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        finally:
            self._in_progress -= 1


class _Renderings:
    """Renders the exposition. Requests that want the same rendering while it is made count as one."""

    def __init__(self, exposition: Exposition, limit: int) -> None:
        self._exposition = exposition
        # Only rendering counts: a client that reads slowly must not lock out others.
        self._workers = _Workers("scrapes", threads=2, limit=limit)
        self._in_progress: dict[tuple[Format, bool], asyncio.Task[bytes]] = {}

    async def render(self, format_: Format, *, gzip: bool) -> bytes:
        """Return the exposition; raises _BusyError."""
        wanted = format_, gzip
        rendering = self._in_progress.get(wanted)
        if rendering is None:
            rendering = asyncio.create_task(
                self._workers.run(lambda: self._exposition.render(format_, gzip=gzip))
            )
            self._in_progress[wanted] = rendering
            rendering.add_done_callback(lambda _: self._in_progress.pop(wanted))
        # A client that disconnects must not end what others wait for.
        return await asyncio.shield(rendering)


class Endpoints:
    """The response of each path."""

    def __init__(
        self,
        options: WebOptions,
        exporter: ExporterState,
        poller: Poller,
        exposition: Exposition,
        reload: Callable[[], Sequence[str]],
    ) -> None:
        """`reload` returns the errors of the new configuration."""
        self._options = options
        self._exporter = exporter
        self._poller = poller
        self._reload = reload
        self._renderings = _Renderings(exposition, options.max_requests)
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
            exception_handlers={_BusyError: self._respond_busy},
        )
        app.router.redirect_slashes = False
        return app

    async def _metrics(self, request: Request) -> Response:
        format_, content_type = negotiation.format_for(_whole(request, "Accept"))
        gzip = negotiation.accepts_gzip(_whole(request, "Accept-Encoding"))
        body = await self._renderings.render(format_, gzip=gzip)
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if gzip:
            headers["Content-Encoding"] = "gzip"
        return Response(body, headers=headers)

    async def _page(self, request: Request) -> Response:
        wanted = request.query_params.get("filter", "")
        page = await self._pages.run(
            lambda: status_page.render(
                self._poller.states, wanted, self._options.telemetry_path, self._exporter
            )
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
            return PlainTextResponse(
                "Lifecycle API is not enabled: start with --web.enable-lifecycle.\n", 403
            )
        errors = await self._reloads.run(self._reload)
        if errors:
            return PlainTextResponse("".join(f"{error}\n" for error in errors), 500)
        return PlainTextResponse("Configuration reloaded.\n")

    async def _respond_busy(self, _: Request, error: Exception) -> Response:
        return PlainTextResponse(str(error), 503, {"Retry-After": "1"})


def _whole(request: Request, name: str) -> str:
    """Return a header that may have several lines."""
    return ",".join(request.headers.getlist(name))
