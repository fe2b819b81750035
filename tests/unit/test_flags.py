"""The command line: what flags mean, and which are wrong."""

from pathlib import Path

import pytest

from docspace_exporter import flags
from docspace_exporter.flags import Flags
from docspace_exporter.web.options import WebOptions


def parse(*arguments: str) -> Flags:
    return flags.parse(arguments, "docspace-exporter 1.2.3")


def test_without_flags_everything_has_its_default() -> None:
    assert parse() == Flags(
        config_file=None,
        check=False,
        once=False,
        demo=False,
        listen_addresses=(":10059",),
        systemd_socket=False,
        web_config_file=None,
        web=WebOptions(telemetry_path="/metrics", max_requests=40, enable_lifecycle=False, status_page=True),
        log_level="info",
        log_format="logfmt",
    )


def test_every_flag_is_read() -> None:
    assert parse(
        "--config.file=a.yaml",
        "--config.check",
        "--once",
        "--web.listen-address=[::1]:80",
        "--web.listen-address=127.0.0.1:81",
        "--web.telemetry-path=/probe/metrics",
        "--web.config.file=web.yml",
        "--web.max-requests=0",
        "--web.enable-lifecycle",
        "--no-web.status-page",
        "--log.level=debug",
        "--log.format=json",
    ) == Flags(
        config_file=Path("a.yaml"),
        check=True,
        once=True,
        demo=False,
        listen_addresses=("[::1]:80", "127.0.0.1:81"),
        systemd_socket=False,
        web_config_file=Path("web.yml"),
        web=WebOptions(
            telemetry_path="/probe/metrics", max_requests=0, enable_lifecycle=True, status_page=False
        ),
        log_level="debug",
        log_format="json",
    )
    assert parse("--demo").demo


def test_sockets_may_come_from_systemd() -> None:
    assert parse("--web.systemd-socket").systemd_socket


def test_metrics_at_the_root_leave_no_place_for_the_status_page() -> None:
    assert not parse("--web.telemetry-path=/").web.status_page


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["config.yaml"],
        ["--config"],
        ["--config.file"],
        ["--demo=yes"],
        ["--demo", "--config.file=config.yaml"],
        ["--log.level=loud"],
        ["--log.format=xml"],
        ["--web.max-requests=many"],
        ["--web.max-requests=-1"],
        ["--web.telemetry-path="],
        ["--web.telemetry-path=metrics"],
        ["--web.telemetry-path=/-/healthy"],
        ["--web.telemetry-path=/a b"],
        ["--web.telemetry-path=/{id}"],
        ["--two\nlines"],
        ["--web.listen-address=:80", "--web.systemd-socket"],
        ["--web.listen-address=:" + "9" * 5000],
        ["--web.listen-address=:٩٧٦٤"],
    ],
)
def test_wrong_flags_are_one_line_and_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(*arguments)
    said = capsys.readouterr()
    assert (exit_.value.code, said.out) == (2, "")
    assert said.err.startswith("docspace-exporter: ")
    assert said.err.endswith(": see docspace-exporter --help\n")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_flag(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(flag)
    assert exit_.value.code == 0
    said = capsys.readouterr().out
    names = [
        *("config.file", "config.check", "once", "demo", "web.listen-address", "web.systemd-socket"),
        *(
            "web.telemetry-path",
            "web.config.file",
            "web.max-requests",
            "web.enable-lifecycle",
            "no-web.status-page",
        ),
        *("log.level", "log.format", "version", "help"),
    ]
    assert all(f"--{name}" in said for name in names)
