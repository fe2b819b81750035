"""Applies the configuration at the start, on SIGHUP and on POST /-/reload. An invalid one changes nothing."""

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
        """Poll and expose the portals of a configuration. Unchanged portals keep their state."""
        logger.info("Configuration loaded", extra={"portals": len(config.portals)})
        self._poller.watch(config.portals)
        self._exporter = msgspec.structs.replace(
            self._exporter, reload_successful=True, reload_success_time=time.time()
        )
        self._exposition.show(self._exporter, lambda: self._poller.states, config.label_names)

    def reload(self) -> Sequence[str]:
        """Load the configuration again and apply it, or return its errors and change nothing."""
        with self._lock:
            try:
                config = self._load()
            except ConfigError as error:
                return self._refuse(error.errors)
            except Exception as error:
                # Unexpected, so its text may hold a secret.
                return self._refuse([f"unexpected {type(error).__name__}: please report this as a bug"])
            self.apply(config)
            return ()

    def _refuse(self, errors: Sequence[str]) -> Sequence[str]:
        for error in errors:
            logger.log(logging.ERROR, "Configuration not reloaded: %s", error)
        self._exporter = msgspec.structs.replace(self._exporter, reload_successful=False)
        self._exposition.show_exporter(self._exporter)
        return errors
