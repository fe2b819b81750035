"""When the exporter polls: at the moments that its first poll set."""

import math
import time

from bench import programs


class Schedule:
    """The polls of one portal that only the exporter has requested so far. Times are monotonic seconds."""

    def __init__(self, portals: programs.Portals, interval: float) -> None:
        while not (arrivals := portals.arrivals()):
            time.sleep(0.01)
        self._first = arrivals[0][0]
        self._interval = interval

    def sleep_until_after_next(self, seconds: float) -> None:
        """Return so many seconds after the next poll that is not so long ago; negative is before it."""
        since = time.monotonic() - self._first - seconds
        time.sleep(math.ceil(since / self._interval) * self._interval - since)
