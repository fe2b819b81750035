"""Requests /metrics like Prometheus: one persistent connection, gzip, the whole body read as it is."""

import gzip
import http.client
import time
from urllib.parse import urlsplit

_HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "Accept-Encoding": "gzip",
    "User-Agent": "Prometheus/2.42.0",
}


class Scraper:
    """Scrapes one url. A context manager, which closes the connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=60)

    def __enter__(self) -> "Scraper":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def scrape(self) -> bytes:
        """Return the gzipped exposition."""
        self._connection.request("GET", self._path, headers=_HEADERS)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != 200 or response.headers["Content-Encoding"] != "gzip":
            raise RuntimeError(f"{self._path}: status {response.status}, {response.headers}")
        return body

    def text(self) -> bytes:
        """Return the exposition, unpacked."""
        return gzip.decompress(self.scrape())

    def timed(self) -> float:
        """Return the seconds that one scrape takes."""
        begun = time.perf_counter()
        self.scrape()
        return time.perf_counter() - begun


class Pace:
    """Keeps scrapes so far apart that none shares the exporter's rendering of a second with another."""

    def __init__(self) -> None:
        self._begun = 0.0

    def wait(self) -> None:
        """Return a second after it last did."""
        time.sleep(max(0.0, self._begun + 1.01 - time.time()))
        self._begun = time.time()
