"""Reads what decides which keys alert: thresholds and exceptions."""

from datetime import date
from pathlib import Path

import pytest

from docspace_exporter.config.exceptions import KeyException
from docspace_exporter.config.portals import Portal, load_environment, load_file

DAY = 86_400.0


def load(path: Path, top: str, own: str) -> Portal:
    path.write_text(f"{top}\nportals: [{{url: 'https://acme.example', api_key: sk-1, {own}}}]")
    return load_file(path).portals[0]


@pytest.mark.parametrize(
    ("top", "own", "warning", "critical"),
    [
        ("", "", 14, 3),
        ("expiry_warning: 30d", "", 30, 3),
        ("expiry_critical: 7d", "", 14, 7),
        ("expiry_warning: 30d", "expiry_warning: 10d", 10, 3),
        ("", "expiry_warning: 30d, expiry_critical: 20d", 30, 20),
        ("", "expiry_warning: 2d", 2, 2),
        ("expiry_warning: 30d\nexpiry_critical: 20d", "expiry_warning: 1w", 7, 7),
    ],
)
def test_a_portal_inherits_thresholds_and_critical_is_at_most_warning(
    tmp_path: Path, top: str, own: str, warning: float, critical: float
) -> None:
    portal = load(tmp_path / "config.yaml", top, own)
    assert (portal.expiry_warning / DAY, portal.expiry_critical / DAY) == (warning, critical)


def test_the_environment_sets_thresholds() -> None:
    environment = {"DOCSPACE_URL": "https://acme.example", "DOCSPACE_API_KEY": "sk-1"}
    thresholds = {"DOCSPACE_EXPIRY_WARNING": "30d", "DOCSPACE_EXPIRY_CRITICAL": "1w"}
    portal = load_environment({**environment, **thresholds}).portals[0]
    assert (portal.expiry_warning, portal.expiry_critical) == (30 * DAY, 7 * DAY)


def test_exceptions_are_read(tmp_path: Path) -> None:
    own = """exceptions: [
        {name: 'door sign*', owner: Ann *, allow: [never_expires, unused], reason: OPS-12, until: 2027-03-01},
        {id: 0b4b6e0c, allow: [expiry], reason: ' OPS-13 '},
    ]"""
    assert load(tmp_path / "config.yaml", "", own).exceptions == (
        KeyException(
            name="door sign*",
            owner="Ann *",
            allow=("never_expires", "unused"),
            reason="OPS-12",
            until=date(2027, 3, 1),
        ),
        KeyException(id="0b4b6e0c", allow=("expiry",), reason="OPS-13"),
    )


def test_an_exception_names_its_patterns() -> None:
    exception = KeyException(name="door sign*", id="0b4b*", allow=("unused",), reason="OPS-12")
    assert str(exception) == "name: door sign*, id: 0b4b*"
