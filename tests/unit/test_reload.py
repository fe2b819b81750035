"""Putting a configuration into force while the program runs."""

import logging

import pytest
from prometheus_client import CollectorRegistry

from docspace_exporter.config.portals import Config
from docspace_exporter.exposition import Exposition
from docspace_exporter.formats import Format
from docspace_exporter.metrics import ExporterState
from docspace_exporter.poller import Poller
from docspace_exporter.reload import Reloader
from tests.support.faulty_portal import FaultyPortal, hang, respond
from tests.support.portals import portal_at
from tests.support.processes import wait_for
from tests.support.samples import samples, values

SUCCESSFUL = "docspace_exporter_config_last_reload_successful"


def test_an_unexpected_error_changes_nothing_and_is_reported_without_its_text(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def load() -> Config:
        raise RuntimeError("sk-hunter2")

    exporter = ExporterState(version="1", revision="a")
    exposition = Exposition(exporter, CollectorRegistry())
    reloader = Reloader(load, exporter, Poller(exposition.update), exposition)
    errors = reloader.reload()
    assert errors == ["unexpected RuntimeError: please report this as a bug"]
    assert values(samples(exposition.render(Format.TEXT, gzip=False).decode()), SUCCESSFUL) == {(): 0}
    (log,) = caplog.records
    assert (log.levelno, "hunter2" in caplog.text) == (logging.ERROR, False)


def test_keys_stay_exposed_when_a_portal_is_changed_while_it_does_not_respond() -> None:
    with FaultyPortal(respond()) as portal:
        exposition = Exposition(None, CollectorRegistry())
        poller = Poller(exposition.update)
        configs = [
            Config((portal_at(portal.url, poll_interval=seconds),), ("portals[0]",)) for seconds in (60, 30)
        ]
        exporter = ExporterState(version="1", revision="a")
        reloader = Reloader(lambda: configs[1], exporter, poller, exposition)
        reloader.apply(configs[0])
        try:
            wait_for(lambda: poller.ready, "the first poll")
            portal.behave = hang
            assert reloader.reload() == ()
            shown = samples(exposition.render(Format.TEXT, gzip=False).decode())
        finally:
            poller.stop()
    assert list(values(shown, "docspace_poll_interval_seconds").values()) == [30]
    assert list(values(shown, "docspace_api_keys").values()) == [1]
    assert len(values(shown, "docspace_api_key_info")) == 1
