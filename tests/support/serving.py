"""The exporter's endpoints on a real socket of this process, for tests that control what happens inside."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from gzip import compress

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from docspace_exporter.exposition import Exposition
from docspace_exporter.formats import Format
from docspace_exporter.metrics import ExporterState
from docspace_exporter.poller import Poller
from docspace_exporter.web import server
from docspace_exporter.web.endpoints import Endpoints
from docspace_exporter.web.middleware import InternalErrorMiddleware
from docspace_exporter.web.options import WebOptions

ABOUT = ExporterState(version="1.2.3", revision="abc")


class GatedExposition(Exposition):
    """An exposition of a fixed size that starts to render at once and finishes when `may_end` is set."""

    def __init__(self, size: int = 10) -> None:
        super().__init__(ABOUT, CollectorRegistry())
        self.size = size
        self.rendering = threading.Semaphore(0)
        self.may_end = threading.Event()
        self.may_end.set()

    def render(self, format_: Format, *, gzip: bool) -> bytes:
        self.rendering.release()
        assert self.may_end.wait(10)
        text = b"#" * (self.size - 1) + b"\n"
        return compress(text) if gzip else text


class FailingExposition(GatedExposition):
    """An exposition whose first rendering fails."""

    def __init__(self) -> None:
        super().__init__()
        self.errors = ["sk-secret"]

    def render(self, format_: Format, *, gzip: bool) -> bytes:
        if self.errors:
            raise RuntimeError(self.errors.pop())
        return super().render(format_, gzip=gzip)


@contextlib.contextmanager
def in_thread(app: ASGIApp, listener: socket.socket, tls: ssl.SSLContext | None = None) -> Iterator[None]:
    """Serve an application in the same way as the exporter does."""
    stop = asyncio.Event()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=runner.run, args=(server.serve_until(stop, app, [listener], tls),))
        thread.start()
        try:
            yield
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()


@contextlib.contextmanager
def serving(
    exposition: Exposition,
    options: WebOptions | None = None,
    reload: Callable[[], Sequence[str]] = lambda: (),
) -> Iterator[tuple[str, int]]:
    """Serve the endpoints; yields host and port."""
    endpoints = Endpoints(options or WebOptions(), ABOUT, Poller(lambda _: None), exposition, reload)
    with (
        server.listen("127.0.0.1:0") as listener,
        in_thread(InternalErrorMiddleware(endpoints.app()), listener),
    ):
        yield listener.getsockname()[:2]
