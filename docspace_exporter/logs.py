"""Logs to stderr in logfmt or JSON, one line per message."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from logfmter import Logfmter

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
FORMATS = ("logfmt", "json")

_STANDARD_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime"}


def configure(level: str, format_: str) -> None:
    """Log messages of `level` or above to stderr; those of libraries only from warnings on."""
    for name, number in LEVELS.items():
        logging.addLevelName(number, name)
    formatter = (
        _JsonFormatter() if format_ == "json" else _LogfmtFormatter(["ts", "level", "msg"], _LOGFMT_FIELDS)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(LEVELS[level], logging.WARNING), force=True)
    logging.getLogger("docspace_exporter").setLevel(LEVELS[level])
    # Its warnings quote what a portal sends.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)


_LOGFMT_FIELDS = {"ts": "asctime", "level": "levelname"}


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _LogfmtFormatter(Logfmter):
    def formatTime(self, record: logging.LogRecord, _datefmt: str | None = None) -> str:  # noqa: N802
        return _time(record)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
        line: dict[str, Any] = {
            "ts": _time(record),
            "level": record.levelname,
            "msg": record.getMessage(),
            **extra,
        }
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
