"""The one-screen summary of a report, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from idtd_cli.report.document import ReportDocument, Result

#: What each method is called for people, in the order in which they are shown.
TITLES = {
    "full": "full data",
    "random": "random real clips",
    "herding": "herding coreset",
    "k-center": "k-center coreset",
    "pixel": "pixel matching",
    "static-dynamic": "static-dynamic",
    "idtd": "IDTD",
}

#: What the figures of a method do not say by themselves.
NOTES = {
    "static-dynamic": "static-dynamic is counted as what its videos are rendered from: images and memories at one byte "
    "a number, although its authors store floats, and a convolution at four. Students train on the rendered videos, "
    "which are several for each that “videos/class” counts.",
}


def ordered(report: ReportDocument) -> list[Result]:
    """Results by stored size, then by method from the simplest to ours."""
    order = list(TITLES)
    return sorted(report.results, key=lambda r: (r.ipc or 1 << 30, order.index(r.method), r.set or ""))


def notes(report: ReportDocument) -> list[str]:
    """What has to be said of the methods in a report."""
    methods = {result.method for result in report.results}
    return [note for method, note in NOTES.items() if method in methods]


def title(result: Result) -> str:
    """What students trained on."""
    return TITLES[result.method] + (", soft labels" if result.soft_labels else "")


def percent(result: Result) -> str:
    """`45.3 ± 2.1`: mean and standard deviation in per cent."""
    return f"{100 * result.top1.mean:.1f} ± {100 * result.top1.std:.1f}"


def size(count: int) -> str:
    """Bytes for people."""
    amount, unit = float(count), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if amount >= 100 or unit == "B" else f"{amount:.1f} {unit}"


def table(report: ReportDocument) -> list[tuple[str, ...]]:
    """Header and rows: what was trained on, videos a class, stored bytes and frames, top-1, students."""
    rows: list[tuple[str, ...]] = [("trained on", "videos/class", "stored", "frames", "top-1 %", "students")]
    for result in ordered(report):
        name = title(result) + (f" ({result.set})" if result.set and result.set != result.method else "")
        rows.append(
            (
                name,
                str(result.ipc) if result.ipc else "all",
                size(result.stored_bytes),
                str(result.stored_frames),
                percent(result),
                str(result.top1.n),
            )
        )
    return rows


def render(report: ReportDocument) -> str:
    """The summary: what was scored, the table, aligned, and notes on it."""
    head = (
        f"{report.source}: top-1 on {report.scored_videos} {report.scored_split} videos of {len(report.classes)} "
        f"classes (chance {100 * report.chance:.1f} %), mean ± std over students"
    )
    return "\n\n".join([head, aligned(table(report)), *notes(report)])


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
