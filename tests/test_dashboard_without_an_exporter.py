"""What the dashboard shows once no exporter answers: nothing, on Prometheus and on VictoriaMetrics."""

import time
from pathlib import Path

import processes
import pytest
from dashboard import PANELS, View, table, tile
from processes import wait_for

pytestmark = pytest.mark.tools


@pytest.mark.parametrize("run_database", [processes.prometheus, processes.victoria_metrics])
def test_tables_and_tiles_are_empty_when_no_exporter_answers(
    run_database: processes.Database, tmp_path: Path
) -> None:
    with processes.exporter(tmp_path, "--demo") as exporter:
        target = {"targets": [exporter.url.removeprefix("http://")]}
        job = {
            "job_name": "docspace",
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "static_configs": [target],
        }
        with run_database(tmp_path, {"scrape_configs": [job]}) as database:

            def view() -> View:
                return View(database.url, time.time(), 60, 15)

            tables = [panel["title"] for panel in PANELS if panel["type"] == "table"]
            tiles = [panel["title"] for panel in PANELS if panel["type"] == "stat"]
            wait_for(lambda: all(table(view(), title) for title in tables), "rows in every table")
            exporter.process.terminate()
            wait_for(lambda: not view().instant("docspace_up"), "the exporter seen to be gone")
            assert [table(view(), title) for title in tables] == [[]] * len(tables)
            assert [tile(view(), title) for title in tiles] == [None] * len(tiles)
