"""What a configuration file may say, and how errors are reported."""

import os
import shutil
from pathlib import Path

import pytest

from docspace_exporter.config.api_key import KeyUnreadableError
from docspace_exporter.config.portals import Config, Portal, TlsConfig, load_file
from docspace_exporter.config.section import ConfigError

SPACED = "contains white space: expected only the key, on one line, without Bearer"

BAD_FILES = sorted((Path(__file__).parent / "configs").glob("*.yml"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def load(path: Path, text: str) -> Config:
    path.write_text(text)
    return load_file(path)


def load_portal(path: Path, **fields: str) -> Portal:
    """Return the one portal of these fields, each as YAML; url and key are given if need be."""
    key = {} if "api_key_file" in fields else {"api_key": "sk-1"}
    given = {"url": "https://acme.example", **key, **fields}
    text = ", ".join(f"{field}: {value}" for field, value in given.items())
    return load(path, f"portals: [{{{text}}}]").portals[0]


def errors(path: Path) -> list[str]:
    """Return the file's errors without its name."""
    with pytest.raises(ConfigError) as caught:
        load_file(path)
    return [error.removeprefix(f"{path}:").strip() for error in caught.value.errors]


@pytest.mark.parametrize("bad", BAD_FILES, ids=[bad.stem for bad in BAD_FILES])
def test_an_invalid_file_is_rejected_with_the_error_in_its_comment(bad: Path, path: Path) -> None:
    shutil.copy(bad, path)
    lines = bad.read_text().splitlines()
    expected = [line[2:] for line in lines if line.startswith("# ")]
    assert errors(path) == expected
    assert "hunter2" not in "".join(expected)


def test_there_are_bad_files() -> None:
    assert len(BAD_FILES) > 80


def test_an_error_begins_with_the_path_of_the_file(path: Path) -> None:
    path.write_text("portals: []")
    with pytest.raises(ConfigError, match=rf"^{path}: portals: is missing or empty"):
        load_file(path)


def test_a_missing_file_is_reported(path: Path) -> None:
    assert errors(path) == ["cannot be read: No such file or directory"]


def test_every_field_is_read(path: Path) -> None:
    config = load(
        path,
        """
        poll_interval: 10m
        poll_timeout: 20s
        portals:
          - url: https://acme.onlyoffice.com
            name: acme
            api_key_file: keys/acme
            labels: {team: storage, env: prod}
            export_owner: false
            poll_interval: 1m
            poll_timeout: 10s
            allow_http: false
            proxy_url: http://user:password@proxy.example:3128
            tls_config: {ca_file: ca.crt, cert_file: /a.crt, key_file: a.key, insecure_skip_verify: true}
          - url: http://docs.example:8080
            api_key: sk-1
            allow_http: true
        """,
    )
    folder = path.parent
    assert config.portals == (
        Portal(
            name="acme",
            url="https://acme.onlyoffice.com",
            api_key_file=folder / "keys/acme",
            labels=(("env", "prod"), ("team", "storage")),
            export_owner=False,
            poll_interval=60.0,
            poll_timeout=10.0,
            proxy_url="http://user:password@proxy.example:3128",
            tls_config=TlsConfig(folder / "ca.crt", Path("/a.crt"), folder / "a.key", True),
        ),
        Portal(
            name="docs.example:8080",
            url="http://docs.example:8080",
            api_key="sk-1",
            poll_interval=600.0,
            poll_timeout=20.0,
        ),
    )
    assert config.label_names == ("env", "team")
    assert config.places == (f"{path}: portals[0].", f"{path}: portals[1].")


def test_fields_that_are_not_set_have_defaults(path: Path) -> None:
    portal = load_portal(path)
    assert portal == Portal(
        name="acme.example",
        url="https://acme.example",
        api_key="sk-1",
        labels=(),
        export_owner=True,
        poll_interval=300.0,
        poll_timeout=30.0,
        proxy_url=None,
        tls_config=TlsConfig(None, None, None, False),
    )


def test_null_is_the_same_as_not_set(path: Path) -> None:
    fields = ("name", "labels", "export_owner", "poll_timeout", "allow_http", "proxy_url", "tls_config")
    given = load_portal(path, **dict.fromkeys(fields, "null"))
    assert given == load_portal(path)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1ms", 0.001),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("1d", 86400),
        ("2w", 1209600),
        ("1y", 31536000),
        ("1d2h3m4s5ms", 93784.005),
    ],
)
def test_durations_are_read_as_prometheus_writes_them(path: Path, text: str, seconds: float) -> None:
    assert load_portal(path, poll_interval=text).poll_interval == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("top", "own", "expected"),
    [
        ("", "", 30),
        ("poll_interval: 10s", "", 10),
        ("poll_interval: 10s", "poll_timeout: 5s", 5),
        ("poll_timeout: 60s", "", 60),
        ("poll_timeout: 60s", "poll_interval: 45s", 45),
        ("poll_timeout: 60s", "poll_interval: 2m", 60),
        ("poll_timeout: 5m", "", 300),
        ("", "poll_interval: 20s", 20),
        ("", "poll_timeout: 5m", 300),
    ],
)
def test_a_timeout_is_at_most_the_interval(path: Path, top: str, own: str, expected: float) -> None:
    config = load(path, f"{top}\nportals: [{{url: 'https://acme.example', api_key: sk-1, {own}}}]")
    assert config.portals[0].poll_timeout == expected


@pytest.mark.parametrize(
    ("text", "url", "name"),
    [
        ("https://acme.example", "https://acme.example", "acme.example"),
        ("https://acme.example/", "https://acme.example", "acme.example"),
        ("HTTPS://ACME.example:8443", "https://acme.example:8443", "acme.example:8443"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", "[2001:db8::1]:8443"),
        ("https://пример.рф", "https://пример.рф", "пример.рф"),
        ("http://localhost", "http://localhost", "localhost"),
        ("http://LOCALHOST:80", "http://localhost:80", "localhost:80"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://127.8.9.1", "http://127.8.9.1", "127.8.9.1"),
        ("http://[::1]", "http://[::1]", "[::1]"),
    ],
)
def test_a_url_is_scheme_host_and_port(path: Path, text: str, url: str, name: str) -> None:
    portal = load_portal(path, url=f"'{text}'")
    assert (portal.url, portal.name) == (url, name)


def test_labels_of_one_portal_are_on_every_one(path: Path) -> None:
    config = load(
        path,
        """
        portals:
          - {url: https://a.example, api_key: sk-1, labels: {team: storage}}
          - {url: https://b.example, api_key: sk-2, labels: {env: prod, team: ""}}
          - {url: https://c.example, api_key: sk-3, labels: {}}
        """,
    )
    assert config.label_names == ("env", "team")


def test_a_date_for_a_name_is_text(path: Path) -> None:
    assert load_portal(path, name="2026-11-24").name == "2026-11-24"


def test_a_misspelt_field_does_not_hide_other_errors(path: Path) -> None:
    path.write_text("portals: [{ulr: https://acme.example, api_key: 5}, {}, 7]")
    assert [error.partition(":")[0] for error in errors(path)] == [
        "portals[0].ulr",
        "portals[0].url",
        "portals[0].api_key",
        "portals[1].url",
        "portals[1].api_key_file",
        "portals[2]",
    ]


def test_no_secret_is_in_a_representation(path: Path) -> None:
    portal = load_portal(path, api_key="sk-hunter2", proxy_url="'http://user:hunter2@proxy.example'")
    config = Config((portal,), ("portals[0].",))
    assert "hunter2" not in f"{config!r} {config} {portal!r} {portal}"


def test_a_key_in_the_configuration_is_the_key(path: Path) -> None:
    assert load_portal(path, api_key="sk-2").read_key() == "sk-2"


class TestKeyFile:
    """A key file is read anew each time; white space around the key is dropped."""

    @pytest.mark.parametrize("content", [b"sk-1", b"sk-1\n", b"\r\n\t sk-1 \r\n", b"\xa0sk-1\x85"])
    def test_white_space_around_the_key_is_dropped(self, path: Path, content: bytes) -> None:
        (path.parent / "key").write_bytes(content)
        assert load_portal(path, api_key_file="key").read_key() == "sk-1"

    def test_a_changed_file_provides_the_new_key(self, path: Path) -> None:
        portal = load_portal(path, api_key_file="key")
        for key in ("sk-1", "sk-2"):
            (path.parent / "key").write_text(key)
            assert portal.read_key() == key

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty: expected the portal's API key"),
            (b" \r\n", "is empty: expected the portal's API key"),
            (b"Bearer sk-hunter2", SPACED),
            (b"sk-hunter2\nsk-hunter2", SPACED),
            (b"sk-hunter2\0", "contains characters other than printable ASCII: copy the key again"),
            ("sk-hunter2".encode("utf-16"), "is UTF-16: save it as plain text"),
            (
                "sk-hunter2".encode("utf-16-be"),
                "contains characters other than printable ASCII: copy the key again",
            ),
            (b"\xfe\xff\0s\0k", "is UTF-16: save it as plain text"),
            ("sk-hunter2é".encode(), "contains characters other than printable ASCII: copy the key again"),
            (
                b"sk-***9f3a\n",
                "is a masked key: the portal shows a key in full only once, so create another",
            ),
            (b"sk-" + b"a" * 8190, "is larger than 8192 bytes: expected only the API key"),
        ],
    )
    def test_a_file_without_exactly_one_key_is_reported_and_not_quoted(
        self, path: Path, content: bytes, message: str
    ) -> None:
        (path.parent / "key").write_bytes(content)
        with pytest.raises(KeyUnreadableError) as caught:
            load_portal(path, api_key_file="key").read_key()
        assert str(caught.value) == f"{path.parent / 'key'} {message}"

    def test_a_byte_order_mark_at_the_start_of_a_file_is_dropped(self, path: Path) -> None:
        (path.parent / "key").write_bytes(b"\xef\xbb\xbfsk-1\r\n")
        assert load_portal(path, api_key_file="key").read_key() == "sk-1"

    def test_a_pipe_is_not_waited_for(self, path: Path) -> None:
        os.mkfifo(path.parent / "key")
        with pytest.raises(KeyUnreadableError, match="it is not a regular file"):
            load_portal(path, api_key_file="key").read_key()

    @pytest.mark.parametrize(
        ("file", "reason"),
        [
            ("absent", "No such file or directory"),
            (".", "Is a directory"),
            ("config.yaml/key", "Not a directory"),
            ('"a\\0b"', "its path is not valid"),
        ],
    )
    def test_an_unreadable_file_is_reported(self, path: Path, file: str, reason: str) -> None:
        with pytest.raises(KeyUnreadableError, match=rf"^cannot read {path.parent}.*: {reason}$"):
            load_portal(path, api_key_file=file).read_key()
