"""All documents: what they show works, what they name exists, where they lead there is something."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from docspace_exporter import flags
from docspace_exporter.web import middleware, options, passwords, server
from tests.support.documents import DOCUMENTS, Block, blocks
from tests.support.processes import ROOT

RULES = ROOT / "prometheus" / "rules.yml"


def test_every_block_is_of_a_language_that_is_checked() -> None:
    assert {block.language for document in DOCUMENTS.values() for block in document.blocks} == {
        "",
        "yaml",
        "sh",
        "promql",
    }


@pytest.mark.parametrize("block", blocks("sh"), ids=str)
def test_bash_can_read_every_shell_block(block: Block, tmp_path: Path) -> None:
    script = tmp_path / "block.sh"
    script.write_text(block.text)
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def links() -> Iterator[tuple[str, str]]:
    for name, document in DOCUMENTS.items():
        yield from ((name, link) for text in document.texts for link in text.links)


@pytest.mark.parametrize(("name", "link"), sorted({*links()}))
def test_a_link_leads_somewhere(name: str, link: str) -> None:
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
    """Return all that matches in any document, blocks included."""
    return {word for name in DOCUMENTS for word in re.findall(pattern, (ROOT / name).read_text())}


def test_every_series_that_is_named_exists() -> None:
    series = {row[0].plain for row in DOCUMENTS["docs/metrics.md"].tables["Metrics"]}
    parts = {f"{name}{suffix}" for name in series for suffix in ("_sum", "_count")}
    named = words(r"\bdocspace_[a-z_]*[a-z]\b(?!…)")
    assert series <= named
    assert named <= series | parts | {"docspace_exporter"}


def test_every_alert_and_recorded_series_that_is_named_exists() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    named = words(r"\bDocSpace[A-Z]\w+\b|\bdocspace:\w+")
    assert named
    assert named <= {rule.get("alert") or rule["record"] for rule in rules}


def test_every_flag_that_is_named_exists() -> None:
    known = {option for action in flags._parser("")._actions for option in action.option_strings}
    named = words(r"(?<![\w-])--(?:config|web|no-web|log)\.[a-z.-]*[a-z]|--(?:once|demo)\b")
    assert named
    assert named <= known


def test_every_target_of_make_that_is_named_exists() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    code = [code for document in DOCUMENTS.values() for code in document.code]
    lines = [line for block in blocks("sh") for line in block.text.splitlines()]
    named = {match[1] for text in [*code, *lines] if (match := re.match("make ([a-z-]+)", text))}
    assert {"demo", "test"} <= named <= set(targets)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_path_that_is_named_exists(name: str) -> None:
    folders = {path.name for path in ROOT.glob("[!.]*/")}
    named = {word for code in DOCUMENTS[name].code for word in code.split() if "/" in word}
    assert [path for path in named if path.split("/")[0] in folders and not (ROOT / path).exists()] == []


def test_hardening_tells_the_limits_that_are_in_force() -> None:
    limits = {
        text.plain
        for heading, text in DOCUMENTS["docs/hardening.md"].paragraphs
        if heading == "Limits on clients"
    }
    (told,) = limits
    for limit in (
        f"its request headers within {server.REQUEST_DEADLINE} seconds",
        f"in at most {server.HEAD_LIMIT // 1024} KiB",
        f"the TLS handshake within {server.HANDSHAKE_DEADLINE:g} seconds",
        f"response within {middleware.WRITE_DEADLINE:g} seconds",
        f"--web.max-requests ({options.WebOptions().max_requests})",
    ):
        assert limit in told


def test_hardening_tells_the_limits_on_passwords() -> None:
    told = " ".join(text.plain for _, text in DOCUMENTS["docs/hardening.md"].paragraphs)
    assert f"up to {passwords.MAX_WAITING} wait" in told
    assert f"at most {passwords.LONGEST_PASSWORD} bytes" in told
