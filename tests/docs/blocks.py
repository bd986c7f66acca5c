"""The blocks of code in a page of documentation, and the marks that stand before them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: Why commands are not run by a test: `<!-- not run: minutes, needs data -->` before their block, which readers do not
#: see.
REASONS = ("needs data", "gpu", "network", "minutes")
_MARK = re.compile(r"<!-- not run: (.+) -->")
#: A block in one of these, or in none, may hold commands; usage stands in `text`.
_SHELLS = ("", "sh")
_COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:\S+/)?(?:idtd|make|python|pip|torchrun)(?: |$)")


@dataclass(frozen=True)
class Block:
    """Code between fences, or indented."""

    page: str
    line: int  #: of its first line
    language: str
    text: str
    reasons: tuple[str, ...]  #: why it is not run; none if it is

    @property
    def commands(self) -> list[list[str]]:
        """Its command lines as words; none if it holds something else."""
        if self.language not in _SHELLS or not any(_COMMAND.match(line) for line in self.text.splitlines()):
            return []
        return list(_split(self.text))

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def _split(text: str) -> Iterator[list[str]]:
    """Words as a shell has them: a backslash or an open quotation at the end of a line carries on to the next."""
    unfinished = ""
    for line in text.replace("\\\n", " ").splitlines():
        unfinished += line
        try:
            words = shlex.split(unfinished, comments=True)
        except ValueError:
            unfinished += "\n"
            continue
        unfinished = ""
        if words:
            yield words
    assert not unfinished, unfinished


def blocks(path: Path) -> Iterator[Block]:
    """The blocks of a page, in order, as CommonMark has them."""
    before = None
    for token in MarkdownIt().parse(path.read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block"):
            assert token.map is not None
            mark = _MARK.fullmatch(before.content.strip()) if before and before.type == "html_block" else None
            reasons = tuple(mark[1].split(", ")) if mark else ()
            line = token.map[0] + (2 if token.type == "fence" else 1)
            yield Block(path.relative_to(ROOT).as_posix(), line, token.info.strip(), token.content, reasons)
        before = token
