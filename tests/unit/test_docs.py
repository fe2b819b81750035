"""All documents: the examples are valid, and the names and links in them exist."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from docspace_exporter import flags
from docspace_exporter.web import connection, options, passwords, server
from tests.support.documents import DOCUMENTS, Block, blocks
from tests.support.processes import ROOT

RULES = ROOT / "prometheus" / "rules.yml"


def test_code_blocks_are_only_in_languages_that_are_checked() -> None:
    assert {block.language for document in DOCUMENTS.values() for block in document.blocks} == {
        "",
        "yaml",
        "sh",
        "console",
        "promql",
    }


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_every_shell_block_is_valid(block: Block, tmp_path: Path) -> None:
    script = tmp_path / "block.sh"
    script.write_text(block.text)
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def links() -> Iterator[tuple[str, str]]:
    for name, document in DOCUMENTS.items():
        yield from ((name, link) for text in document.texts for link in text.links)


@pytest.mark.parametrize(("name", "link"), sorted({*links()}))
def test_the_target_of_a_link_exists(name: str, link: str) -> None:
    target = urlsplit(link)
    if target.scheme:
        assert target.scheme in {"http", "https"}
        assert target.hostname
        return
    path = (ROOT / name).parent / target.path if target.path else ROOT / name
    assert path.exists()
    if target.fragment:
        assert target.fragment in DOCUMENTS[str(path.resolve().relative_to(ROOT))].anchors


def words(pattern: str) -> set[str]:
    """Return all matches in all documents, including code blocks."""
    return {word for name in DOCUMENTS for word in re.findall(pattern, (ROOT / name).read_text())}


def test_all_documented_series_exist() -> None:
    series = {row[0].plain for row in DOCUMENTS["docs/metrics.md"].tables["Metrics"]}
    parts = {f"{name}{suffix}" for name in series for suffix in ("_sum", "_count")}
    named = words(r"\bdocspace_[a-z_]*[a-z]\b(?!…)")
    assert series <= named
    assert named <= series | parts | {"docspace_exporter"}


def test_all_documented_alerts_and_recorded_series_exist() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    named = words(r"\bDocSpace[A-Z]\w+\b|\bdocspace:\w+")
    assert named
    assert named <= {rule.get("alert") or rule["record"] for rule in rules}


def test_all_documented_flags_exist() -> None:
    known = {option for action in flags._parser("")._actions for option in action.option_strings}
    named = words(r"(?<![\w-])--(?:config|web|no-web|log)\.[a-z.-]*[a-z]|--(?:once|demo)\b")
    assert named
    assert named <= known


def test_all_documented_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    code = [code for document in DOCUMENTS.values() for code in document.code]
    lines = [line for block in blocks("sh") for line in block.text.splitlines()]
    named = {match[1] for text in [*code, *lines] if (match := re.match("make ([a-z-]+)", text))}
    assert {"demo", "test"} <= named <= set(targets)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_all_documented_paths_exist(name: str) -> None:
    folders = {path.name for path in ROOT.glob("[!.]*/")}
    named = {word for code in DOCUMENTS[name].code for word in code.split() if "/" in word}
    assert [path for path in named if path.split("/")[0] in folders and not (ROOT / path).exists()] == []


def test_the_limits_on_clients_are_documented() -> None:
    limits = {
        text.plain
        for heading, text in DOCUMENTS["docs/hardening.md"].paragraphs
        if heading == "Limits on clients"
    }
    (text,) = limits
    for limit in (
        f"at most {connection.HEAD_LIMIT // 1024} KiB of request headers",
        f"request headers within {connection.REQUEST_DEADLINE} seconds",
        f"the TLS handshake within {server.HANDSHAKE_DEADLINE:g} seconds",
        f"response within {connection.RESPONSE_DEADLINE:g} seconds",
        f"--web.max-requests ({options.WebOptions().max_requests})",
    ):
        assert limit in text


def test_the_limits_on_passwords_are_documented() -> None:
    text = " ".join(text.plain for _, text in DOCUMENTS["docs/hardening.md"].paragraphs)
    assert f"up to {passwords.MAX_WAITING} requests wait" in text
    assert f"at most {passwords.LONGEST_PASSWORD} bytes" in text
