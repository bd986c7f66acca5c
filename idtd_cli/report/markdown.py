"""report.md: a report to read in a terminal, a pull request or on a card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from idtd_cli.report import summary
from idtd_cli.report.caveats import caveats
from idtd_cli.report.document import ReportDocument

#: What Markdown would take for more than itself, in a line of text or a cell. An underscore inside of a word is one.
_MARKS = re.compile(r"[\\`*\[\]<>|~]|&(?=#?\w+;)|(?<!\w)_|_(?!\w)")


def render(report: ReportDocument) -> str:
    """The document. All text from data is escaped."""
    parts = [
        f"# {escaped(report.source)}",
        escaped(summary.finding(report)),
        listed(summary.table(report)),
        escaped(f"{summary.heading(report)}."),
        *_section("Warnings", _items(caveats(report))),
        *_section("Across architectures", listed(rows) if (rows := summary.across(report)) else ""),
        *_section("Differences", _items(summary.differences(report))),
        *_section("How to read it", "\n\n".join(map(escaped, summary.reading(report)))),
        *_section("Protocol", listed([("key", "value"), *summary.protocol(report)])),
        *_section("Provenance", listed([("what", "value"), *summary.provenance(report)])),
    ]
    return "\n\n".join(parts) + "\n"


def listed(rows: Sequence[Sequence[str]]) -> str:
    """A header and rows as a table."""
    header, *others = [[escaped(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *others])


def escaped(text: str) -> str:
    """Text that reads as itself, on one line."""
    return _MARKS.sub(lambda mark: "\\" + mark[0], " ".join(text.split()))


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)


def _section(title: str, content: str) -> list[str]:
    return [f"## {title}", content] if content else []
