"""Log lines: one each, whatever they hold."""

import json
import logging
import re
from collections.abc import Iterator

import pytest

from docspace_exporter import logs

NASTY = 'two\nlines, a "quote" and = \u2028 \x1b[31m'


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Give the other tests their logging back."""
    root, ours, urllib3 = (logging.getLogger(name) for name in ("", "docspace_exporter", "urllib3"))
    handlers, levels = root.handlers[:], [logger.level for logger in (root, ours, urllib3)]
    names = {number: logging.getLevelName(number) for number in logs.LEVELS.values()}
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    for number, name in names.items():
        logging.addLevelName(number, name)
    for logger, level in zip((root, ours, urllib3), levels, strict=True):
        logger.setLevel(level)


def log(name: str = "docspace_exporter.test") -> None:
    """Log a line at each level, and one of an error."""
    logger = logging.getLogger(name)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(level, "Said %s", NASTY, extra={"portal": NASTY, "keys": 5})


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was logged, line by line; the last one has ended."""
    *ended, rest = capsys.readouterr().err.split("\n")
    assert rest == ""
    return ended


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warn", 2), ("error", 1)])
@pytest.mark.parametrize("format_", logs.FORMATS)
def test_a_message_of_the_level_or_above_is_one_line(
    capsys: pytest.CaptureFixture[str], level: str, count: int, format_: str
) -> None:
    logs.configure(level, format_)
    log()
    assert len(lines(capsys)) == count


def test_logfmt_lines_begin_with_time_level_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("warn", "logfmt")
    logging.getLogger("docspace_exporter").warning("It broke", extra={"portal": 'a "b"'})
    (line,) = lines(capsys)
    time, _, rest = line.partition(" ")
    assert re.fullmatch(r"ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
    assert rest == 'level=warn msg="It broke" portal="a \\"b\\""'


def test_json_lines_contain_the_whole_message(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")
    log()
    said = [json.loads(line) for line in lines(capsys)]
    assert [line.pop("level") for line in said] == ["debug", "info", "warn", "error"]
    for line in said:
        assert line.pop("ts").endswith("Z")
        assert line == {"msg": f"Said {NASTY}", "portal": NASTY, "keys": 5}


def test_json_lines_contain_errors(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")
    logging.getLogger("docspace_exporter").error("Broken", exc_info=KeyError("why"))
    (line,) = lines(capsys)
    assert json.loads(line)["exc_info"] == "KeyError: 'why'"


def test_libraries_log_warnings_and_urllib3_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("debug", "json")
    log("asyncio")
    log("urllib3.connectionpool")
    assert [json.loads(line)["level"] for line in lines(capsys)] == ["warn", "error"]
