"""Writes the dashboard: `make dashboard`.

To add a panel, add it to one of the lists below; its place follows from the order.
"""

import argparse
import json
import sys
from pathlib import Path

from grafana import keys, portals, tiles, variables
from grafana.parts import DOCS, UID, Json, laid_out, row

FILE = Path(__file__).parent / "dashboards" / f"{UID}.json"

PANELS = [
    row(1, "Is anything about to break?"),
    *tiles.TILES,
    row(10, "Which key, and what do I do?"),
    keys.TABLE,
    row(14, "How is it going?"),
    *keys.GRAPHS,
    row(18, "Can I trust this?"),
    *portals.PANELS,
]


def rendered(status_page: str | None = None) -> str:
    """Return the file that Grafana imports, with a link to the exporter's status page if it is given."""
    links = [_link("Runbooks", "doc", f"{DOCS}/alerts.md")]
    if status_page:
        links.append(_link("Status page", "info", status_page))
    dashboard = {
        "uid": UID,
        "title": "DocSpace API keys",
        "description": "API keys of ONLYOFFICE DocSpace portals: which expire, have expired, or are unused.",
        "tags": ["docspace", "api-keys"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": "now-7d", "to": "now"},
        "refresh": "1m",
        "links": links,
        "templating": {"list": variables.VARIABLES},
        "annotations": {"list": variables.ANNOTATIONS},
        "panels": list(laid_out(PANELS)),
    }
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


def _link(title: str, icon: str, url: str) -> Json:
    return {"type": "link", "title": title, "icon": icon, "url": url, "targetBlank": True}


def main() -> None:
    """Write the dashboard to its file, or to stdout with a link."""
    parser = argparse.ArgumentParser(prog="python -m grafana.dashboard", description=main.__doc__)
    parser.add_argument(
        "--status-page", metavar="URL", help="where browsers reach the exporter's status page"
    )
    status_page = parser.parse_args().status_page
    if status_page:
        sys.stdout.write(rendered(status_page))
    else:
        FILE.write_text(rendered())


if __name__ == "__main__":
    main()
