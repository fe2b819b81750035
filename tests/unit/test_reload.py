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
