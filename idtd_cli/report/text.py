"""A report as plain text, on one screen."""

from __future__ import annotations

from collections.abc import Sequence

from idtd_cli.report import summary
from idtd_cli.report.caveats import caveats
from idtd_cli.report.document import ReportDocument


def render(report: ReportDocument) -> str:
    """What was scored, what came out, the table, differences in words, notes and warnings."""
    parts = [
        f"{summary.heading(report)}; intervals are of students and videos",
        summary.finding(report),
        aligned(summary.table(report)),
        aligned(rows) if (rows := summary.across(report)) else "",
        "\n".join(summary.differences(report)),
        *summary.notes(report),
        "\n".join(f"Warning: {line}" for line in caveats(report)),
    ]
    return "\n\n".join(part for part in parts if part)


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """A header and rows as text: names to the left, figures to the right, a rule under the header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)
