"""The dashboard shows nothing that is gone, on Prometheus and on VictoriaMetrics."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from docspace_exporter.demo import DemoPortal, sample_keys
from tests.support import processes
from tests.support.dashboard import ANNOTATIONS, PANELS, View, table, tile
from tests.support.processes import wait_for

TABLES = [panel["title"] for panel in PANELS if panel["type"] == "table"]
TILES = [panel["title"] for panel in PANELS if panel["type"] == "stat"]


def marked(name: str, view: View) -> set[str]:
    """Return the names of the keys that an annotation marks."""
    (annotation,) = (annotation for annotation in ANNOTATIONS if annotation["name"] == name)
    return {series.labels["name"] for series in view.over_time(annotation["expr"])}


@pytest.mark.parametrize("run_database", [processes.prometheus, processes.victoria_metrics])
def test_a_deleted_key_has_no_row_and_without_an_exporter_all_is_empty(
    run_database: processes.Database, tmp_path: Path
) -> None:
    with DemoPortal(sample_keys(datetime.now(UTC))) as portal:
        acme = {"name": "acme", "url": portal.url, "api_key": portal.keys[-1].secret}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"poll_interval": "1s", "portals": [acme]}))
        with processes.exporter(tmp_path, "--config.file=config.yaml") as exporter:
            target = {"targets": [exporter.url.removeprefix("http://")]}
            job = {"job_name": "docspace", "scrape_interval": "1s", "scrape_timeout": "1s"}
            scraping = {"scrape_configs": [{**job, "static_configs": [target]}]}
            with run_database(tmp_path, scraping) as database:

                def view() -> View:
                    return View(database.url, time.time(), 60, 15)

                def rows(title: str) -> int:
                    return len(table(view(), title))

                wait_for(lambda: all(map(rows, TABLES)), "rows in every table")
                deleted = portal.keys.pop(0)
                keys = "API keys: ${show:text}"
                wait_for(lambda: rows(keys) == len(portal.keys), "no row of the deleted key")
                wait_for(lambda: marked("Deleted", replace(view(), step=5)) == {deleted.name}, "a mark")
                exporter.process.terminate()
                wait_for(lambda: not any(map(rows, TABLES)), "empty tables")
                wait_for(lambda: {tile(view(), title) for title in TILES} == {None}, "no data in tiles")
