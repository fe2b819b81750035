"""Puts a configuration into force: at the start, at SIGHUP, at POST /-/reload. A bad one changes nothing."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

from docspace_exporter.config.portals import Config
from docspace_exporter.config.section import ConfigError
from docspace_exporter.exposition import Exposition
from docspace_exporter.metrics import ExporterState
from docspace_exporter.poller import Poller

logger = logging.getLogger(__name__)


class Reloader:
    """Applies what `load` returns to the poller and the exposition."""

    def __init__(
        self, load: Callable[[], Config], exporter: ExporterState, poller: Poller, exposition: Exposition
    ) -> None:
        self._load = load
        self._exporter = exporter
        self._poller = poller
        self._exposition = exposition
        self._lock = threading.Lock()

    def apply(self, config: Config) -> None:
        """Poll and expose the portals of a configuration. Those that did not change keep what is known."""
        logger.info("Configuration loaded", extra={"portals": len(config.portals)})
        self._poller.watch(config.portals)
        self._exporter = msgspec.structs.replace(
            self._exporter, reload_successful=True, reload_success_time=time.time()
        )
        self._exposition.show(self._exporter, lambda: self._poller.states, config.label_names)

    def reload(self) -> Sequence[str]:
        """Load the configuration anew and apply it; returns its errors, and then leaves all as it was."""
        with self._lock:
            try:
                config = self._load()
            except ConfigError as error:
                return self._refuse(error.errors)
            except Exception as error:
                # Nobody foresaw it, so its text may hold a secret.
                return self._refuse([f"reading it broke with {type(error).__name__}: please report this"])
            self.apply(config)
            return ()

    def _refuse(self, errors: Sequence[str]) -> Sequence[str]:
        for error in errors:
            logger.log(logging.ERROR, "Configuration not reloaded: %s", error)
        self._exporter = msgspec.structs.replace(self._exporter, reload_successful=False)
        self._exposition.show_exporter(self._exporter)
        return errors
