"""The status page in Chromium."""

import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from selenium.webdriver.common.keys import Keys

from docspace_exporter.demo import DemoKey, DemoPortal, User, sample_keys
from docspace_exporter.web.status_page import ROW_LIMIT
from tests.support import processes
from tests.support.browser import Browser, browser
from tests.support.processes import Program, wait_for

NAMES = "td[data-label=Name] bdi"
PHONE = 360


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.fixture(autouse=True)
def as_at_first(chromium: Browser) -> None:
    chromium.command("Emulation.setScriptExecutionDisabled", value=False)
    chromium.command("Emulation.setEmulatedMedia", features=[])
    chromium.command("Emulation.clearDeviceMetricsOverride")
    chromium.complaints()


@pytest.fixture(scope="module")
def keys() -> list[DemoKey]:
    return sample_keys(datetime.now(UTC))


@pytest.fixture(scope="module")
def page(keys: list[DemoKey], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page with the keys of one portal."""
    with DemoPortal(keys) as portal, exporting(tmp_path_factory.mktemp("few"), portal) as exporter:
        yield exporter.url + "/"


@pytest.fixture(scope="module")
def long_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page of a portal with more keys than are shown at once."""
    now, owner = datetime.now(UTC), User("Many", is_admin=True)
    many = [
        DemoKey(name=f"key {number:04}", owner=owner, created=now, expires=now + timedelta(days=number + 1))
        for number in range(ROW_LIMIT + 5)
    ]
    with DemoPortal(many) as portal, exporting(tmp_path_factory.mktemp("many"), portal) as exporter:
        yield exporter.url + "/"


@contextlib.contextmanager
def exporting(folder: Path, portal: DemoPortal) -> Iterator[Program]:
    configuration = {"portals": [{"url": portal.url, "name": "acme", "api_key": portal.keys[-1].secret}]}
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration))
    with processes.exporter(folder, "--config.file=config.yaml") as exporter:
        wait_for(lambda: exporter.responds("/-/ready"), "the first poll")
        yield exporter


def type_in(chromium: Browser, text: str) -> None:
    chromium.find("#filter").send_keys(text)


def empty(chromium: Browser) -> None:
    chromium.find("#filter").send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.BACKSPACE)


def names(chromium: Browser) -> list[str]:
    return list(chromium.shown(NAMES))


def test_the_key_that_expires_first_is_first_and_links_to_where_it_is_rotated(
    chromium: Browser, page: str
) -> None:
    chromium.open(page)
    assert names(chromium)[:2] == ["nightly backup", "CRM sync"]
    assert chromium.shown("tbody td.expires")[0].startswith("in 2 days")
    link = chromium.find("tbody td.rotate a").get_attribute("href")
    assert str(link).endswith("/developer-tools/api-keys")


def test_every_key_is_there_under_its_own_name(chromium: Browser, page: str, keys: list[DemoKey]) -> None:
    chromium.open(page)
    assert sorted(names(chromium)) == sorted(key.name for key in keys)


def test_the_page_does_not_violate_its_content_security_policy(chromium: Browser, page: str) -> None:
    chromium.open(page)
    type_in(chromium, "<b>")
    assert names(chromium) == ['"Отдел <b>продаж</b>" \\ & Co']
    assert chromium.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_urgency_has_a_colour_that_can_be_read(chromium: Browser, page: str, scheme: str) -> None:
    chromium.command(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    chromium.open(page)
    text = {
        state: chromium.style(f"tr.{state} td.expires", "color")
        for state in ("critical", "warning", "expired", "good")
    }
    assert len(set(text.values())) == len(text)
    card = brightness(chromium.style("section", "background-color"))
    assert (card > 0.5) == (scheme == "light")
    for colour in text.values():
        low, high = sorted((card, brightness(colour)))
        assert (high + 0.05) / (low + 0.05) > 4.5


def brightness(colour: str) -> float:
    """Return the relative luminance of `rgba(r, g, b, a)`, as WCAG 2 has it."""
    levels = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    return sum(weight * level for weight, level in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_typing_filters_by_what_the_form_filters_by(chromium: Browser, page: str) -> None:
    chromium.open(page)
    for wanted in ("BACKUP", "carla", "full", "off", "rotate"):
        empty(chromium)
        type_in(chromium, wanted)
        typed = names(chromium)
        chromium.open(f"{page}?filter={wanted}")
        assert names(chromium) == typed
        chromium.open(page)


def test_a_filter_that_matches_nothing_says_so(chromium: Browser, page: str) -> None:
    chromium.open(page)
    type_in(chromium, "zzzz")
    assert names(chromium) == []
    assert "No key matches." in chromium.shown("section p")
    assert chromium.shown("thead") == []
    empty(chromium)
    assert "nightly backup" in names(chromium)


def test_clearing_the_filter_shows_all_keys_again(chromium: Browser, page: str, keys: list[DemoKey]) -> None:
    chromium.open(page + "?filter=carla")
    assert len(names(chromium)) == 3
    empty(chromium)
    wait_for(lambda: len(names(chromium)) == len(keys), "all keys", timeout=10)


def test_typing_finds_a_key_that_a_long_list_leaves_out(chromium: Browser, long_page: str) -> None:
    last = f"key {ROW_LIMIT + 4:04}"
    chromium.open(long_page)
    assert len(names(chromium)) == ROW_LIMIT
    assert last not in names(chromium)
    type_in(chromium, last)
    wait_for(lambda: names(chromium) == [last], "the last key", timeout=10)
    assert chromium.run("return document.activeElement.id") == "filter"


def test_the_filter_works_without_javascript(chromium: Browser, page: str) -> None:
    chromium.command("Emulation.setScriptExecutionDisabled", value=True)
    chromium.open(page)
    type_in(chromium, "carla" + Keys.ENTER)
    wait_for(lambda: len(names(chromium)) == 3, "the filtered page", timeout=10)


@pytest.mark.parametrize("width", [PHONE, 800])
def test_the_page_is_no_wider_than_the_screen(chromium: Browser, page: str, width: int) -> None:
    chromium.command(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=800,
        deviceScaleFactor=1,
        mobile=width == PHONE,
    )
    chromium.open(page)
    assert chromium.run("return document.documentElement.scrollWidth") <= width
    assert "nightly backup" in names(chromium)


def test_a_phone_shows_a_key_as_lines_with_their_names(chromium: Browser, page: str) -> None:
    chromium.command(
        "Emulation.setDeviceMetricsOverride", width=PHONE, height=800, deviceScaleFactor=1, mobile=True
    )
    chromium.open(page)
    assert chromium.shown("thead") == []
    lines = chromium.run("return [...document.querySelector('tbody tr').cells].map((cell) => cell.offsetTop)")
    assert lines == sorted(set(lines))
    label = "getComputedStyle(document.querySelector('td[data-label=Expires]'), '::before')"
    assert chromium.run(f"return {label}.display") != "none"
