"""Chromium without a window, to see a page as a person does."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from selenium.common.exceptions import JavascriptException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Browser:
    """One window of Chromium."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        """Show a page, loaded whole."""
        self._driver.get(url)

    def find(self, selector: str) -> WebElement:
        """Return the element of a CSS selector."""
        return self._driver.find_element(By.CSS_SELECTOR, selector)

    def shown(self, selector: str) -> Sequence[str]:
        """Return the texts that can be seen of the elements of a CSS selector; none while a page loads."""
        # Asked for in one go: a page that is loaded meanwhile would leave elements behind.
        script = (
            "return [...document.querySelectorAll(arguments[0])]"
            ".filter((element) => element.checkVisibility()).map((element) => element.innerText)"
        )
        try:
            return list(self._driver.execute_script(script, selector))
        except JavascriptException:
            return ()

    def style(self, selector: str, name: str) -> str:
        """Return what a property of the first element's style comes to."""
        return str(self.find(selector).value_of_css_property(name))

    def run(self, script: str) -> Any:
        """Return what a script returns."""
        return self._driver.execute_script(script)

    def command(self, name: str, **parameters: Any) -> None:
        """Give a command of Chromium's DevTools protocol."""
        self._driver.execute_cdp_cmd(name, parameters)

    def complaints(self) -> Sequence[str]:
        """Return what the console has had to say since it was last asked."""
        return [entry["message"] for entry in self._driver.get_log("browser")]  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def browser(directory: Path) -> Iterator[Browser]:
    """Run Chromium; `directory` keeps its profile."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in (*_FLAGS, f"--user-data-dir={directory}"):
        options.add_argument(flag)
    # A path of its own keeps Selenium from downloading a driver where there is none.
    service = ChromeService(shutil.which("chromedriver") or "chromedriver")
    with Chrome(options, service) as driver:
        yield Browser(driver)
