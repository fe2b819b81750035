"""The Markdown documents that users read, parsed into headings, paragraphs, code blocks and tables."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support.processes import ROOT

NAMES = sorted(
    str(path.relative_to(ROOT))
    for folder in (ROOT, ROOT / "docs", ROOT / "grafana")
    for path in folder.glob("*.md")
)
"""Paths of the documents, relative to the root of the project."""

_PARSER = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Text:
    """A heading, a paragraph or a cell of a table."""

    plain: str
    """The text without markup."""
    code: Sequence[str]
    """Its inline code."""
    links: Sequence[str]
    """The targets of its links and images."""


@dataclass(frozen=True)
class Block:
    """A fenced code block, without the indentation that it has in a list."""

    document: str
    line: int
    heading: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    @property
    def title(self) -> str:
        """The file name in the comment on its first line; empty if there is none."""
        match = re.match(r"# (\S+)\n", self.text)
        return match[1] if match else ""


@dataclass(frozen=True)
class Document:
    """One document. Text belongs to the nearest heading above it, whatever its level."""

    name: str
    headings: Sequence[Text]
    paragraphs: Sequence[tuple[str, Text]]
    """Each paragraph with its heading."""
    blocks: Sequence[Block]
    tables: Mapping[str, Sequence[Sequence[Text]]]
    """Rows of cells, without the header row, by heading."""

    @property
    def anchors(self) -> set[str]:
        """The anchors that links can point to."""
        plain = (re.sub(r"[^\w\- ]", "", heading.plain.lower()) for heading in self.headings)
        return {text.replace(" ", "-") for text in plain}

    @property
    def texts(self) -> Sequence[Text]:
        """All text except code blocks."""
        cells = itertools.chain.from_iterable(row for rows in self.tables.values() for row in rows)
        return [*self.headings, *(text for _, text in self.paragraphs), *cells]

    @property
    def code(self) -> Sequence[str]:
        """All inline code."""
        return [code for text in self.texts for code in text.code]

    def blocks_under(self, heading: str, language: str) -> list[Block]:
        """Return the code blocks in this language under this heading."""
        return [block for block in self.blocks if (block.heading, block.language) == (heading, language)]


def read(name: str) -> Document:
    """Return a document of the project by its path, relative to the root."""
    headings: list[Text] = []
    paragraphs: list[tuple[str, Text]] = []
    blocks: list[Block] = []
    tables: dict[str, list[list[Text]]] = {}
    heading = ""
    for opening, token in itertools.pairwise(_PARSER.parse((ROOT / name).read_text())):
        match opening.type, token.type:
            case _, "fence":
                line = (token.map or [0])[0] + 1
                blocks.append(Block(name, line, heading, token.info, token.content))
            case "tbody_open" | "tr_close", "tr_open":
                tables.setdefault(heading, []).append([])
            case "td_open", "inline":
                tables[heading][-1].append(_text(token))
            case "heading_open", "inline":
                headings.append(_text(token))
                heading = headings[-1].plain
            case _, "inline" if opening.type != "th_open":
                paragraphs.append((heading, _text(token)))
    return Document(name, headings, paragraphs, blocks, tables)


def _text(inline: Token) -> Text:
    parts = inline.children or []
    plain = "".join(" " if part.type == "softbreak" else part.content for part in parts)
    code = [part.content for part in parts if part.type == "code_inline"]
    links = [str(part.attrs.get("href") or part.attrs.get("src")) for part in parts if part.attrs]
    return Text(plain, code, links)


DOCUMENTS = {name: read(name) for name in NAMES}
"""Every document, by its path relative to the root."""


def blocks(language: str) -> list[Block]:
    """Return the code blocks in this language from all documents."""
    return [
        block for document in DOCUMENTS.values() for block in document.blocks if block.language == language
    ]
