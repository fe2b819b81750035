"""What prometheus-client and requests do by themselves, with the exporter's own collector.

`python -m bench.library app URL` polls the portal once and serves prometheus-client's ASGI application.
`python -m bench.library poll URL` gets the keys and renders the collector once for each line on stdin, and
prints the CPU seconds of each.
"""

import sys
import time

import requests
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    make_asgi_app,
)

from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace.client import KEYS_PATH
from docspace_exporter.metrics import ExporterState
from docspace_exporter.poller import PortalState, poll
from docspace_exporter.web import server
from tests.support.collector import DocSpaceCollector


def collector_of(portal_url: str) -> DocSpaceCollector:
    """Return a collector of what a portal returns now."""
    state = poll(PortalState(Portal(name="portal-000", url=portal_url, api_key="sk-bench")))
    return DocSpaceCollector(ExporterState("0", "bench"), [state], ())


def serve_app(portal_url: str) -> None:
    """Serve until ended, with the settings of the exporter's own server."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(collector_of(portal_url))
    listener = server.listen("127.0.0.1:0")
    sys.stderr.write(f"Listening address={server.address_of(listener)}\n")
    server.serve(make_asgi_app(registry), [listener], None, lambda: None, lambda: None)


def poll_and_render(portal_url: str) -> None:
    """Do so for each line on stdin."""
    collector = collector_of(portal_url)
    for _ in sys.stdin:
        begun = time.process_time()
        requests.get(portal_url + KEYS_PATH, headers={"Authorization": "Bearer sk-bench"}, timeout=60).json()
        generate_latest(collector)
        sys.stdout.write(f"{time.process_time() - begun}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    {"app": serve_app, "poll": poll_and_render}[sys.argv[1]](sys.argv[2])
