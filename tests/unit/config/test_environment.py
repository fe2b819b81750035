"""One portal from the environment, without a file."""

from pathlib import Path

import pytest

from docspace_exporter.config.portals import Portal, load_environment
from docspace_exporter.config.section import ConfigError

WHOLE = {"DOCSPACE_URL": "https://acme.example", "DOCSPACE_API_KEY": "sk-1"}


def load(**changes: str) -> Portal:
    return load_environment({**WHOLE, **changes}).portals[0]


def errors(**changes: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(**changes)
    return caught.value.errors


def test_a_url_and_a_key_are_enough() -> None:
    assert load() == Portal(name="acme.example", url="https://acme.example", api_key="sk-1")


def test_every_variable_is_read() -> None:
    portal = load(
        DOCSPACE_URL="http://acme.example",
        DOCSPACE_NAME="acme",
        DOCSPACE_API_KEY="",
        DOCSPACE_API_KEY_FILE="/run/secrets/acme",
        DOCSPACE_POLL_INTERVAL="20s",
        DOCSPACE_ALLOW_HTTP="true",
    )
    assert portal == Portal(
        name="acme",
        url="http://acme.example",
        api_key_file=Path("/run/secrets/acme"),
        poll_interval=20.0,
        poll_timeout=20.0,
    )


def test_an_empty_variable_is_the_same_as_none() -> None:
    assert load(DOCSPACE_NAME="", DOCSPACE_POLL_INTERVAL="", DOCSPACE_ALLOW_HTTP="") == load()


def test_other_variables_are_ignored() -> None:
    assert load(DOCSPACE_EXPORTER_VERSION="1", DOCSPACE_OTHER="x", PATH="/bin") == load()


@pytest.mark.parametrize(
    ("text", "allowed"), [("true", True), ("TRUE", True), ("1", True), ("0", False), ("false", False)]
)
def test_plain_http_is_allowed_by_a_word_or_a_number(text: str, allowed: bool) -> None:
    if allowed:
        assert load(DOCSPACE_URL="http://acme.example", DOCSPACE_ALLOW_HTTP=text).url == "http://acme.example"
    else:
        assert errors(DOCSPACE_URL="http://acme.example", DOCSPACE_ALLOW_HTTP=text)


def test_errors_name_the_variables_and_are_reported_together() -> None:
    assert errors(
        DOCSPACE_URL="http://acme.example",
        DOCSPACE_NAME="\udcff",
        DOCSPACE_API_KEY_FILE="key",
        DOCSPACE_POLL_INTERVAL="60",
        DOCSPACE_ALLOW_HTTP="maybe",
    ) == (
        "DOCSPACE_ALLOW_HTTP: must be a boolean: write true or false",
        "DOCSPACE_NAME: is empty or contains unprintable characters",
        "DOCSPACE_POLL_INTERVAL: is not a valid duration: expected one with a unit, such as 30s, 5m or 1h30m",
        "DOCSPACE_API_KEY: and DOCSPACE_API_KEY_FILE are both set: remove one",
    )


def test_a_missing_key_names_the_variable_to_set() -> None:
    assert errors(DOCSPACE_API_KEY="") == (
        "DOCSPACE_API_KEY_FILE: is missing: set it to the file that contains the portal's API key",
    )


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("sk-hunter2\nsk-1", "contains white space: expected only the key, on one line, without Bearer"),
        ("Bearer sk-hunter2", "contains white space: expected only the key, on one line, without Bearer"),
        ("sk-hunter2\udcff", "contains characters other than printable ASCII: copy the key again"),
    ],
)
def test_a_key_that_is_not_printable_ascii_is_rejected_and_not_quoted(key: str, error: str) -> None:
    assert errors(DOCSPACE_API_KEY=key) == (f"DOCSPACE_API_KEY: {error}",)


def test_white_space_around_values_is_dropped() -> None:
    assert (
        load(DOCSPACE_URL=" https://acme.example\n", DOCSPACE_API_KEY="\tsk-1 \r\n", DOCSPACE_NAME="  ")
        == load()
    )
