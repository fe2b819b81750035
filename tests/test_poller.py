"""When portals are polled, and when that is known."""

import threading

from portals import portal_at
from processes import wait_for

from docspace_exporter.demo import DemoPortal
from docspace_exporter.poller import Poller, PortalState


def test_ready_means_that_the_first_poll_of_every_portal_is_exposed(demo_portal: DemoPortal) -> None:
    states: list[PortalState] = []
    may_expose = threading.Event()

    def expose(state: PortalState) -> None:
        states.append(state)
        assert may_expose.wait(10)

    poller = Poller(expose)
    portal = portal_at(demo_portal.url, api_key=demo_portal.keys[-1].secret)
    poller.watch([portal])
    wait_for(lambda: states, "the first poll")
    assert not poller.ready
    may_expose.set()
    wait_for(lambda: poller.ready, "the poller ready")
    poller.stop()
