"""The one-screen summary of a report, as plain text."""

from __future__ import annotations

from collections.abc import Sequence

from idtd_cli.report.document import ReportDocument, Result, Spread

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

_LOSSY_NOTE = (
    "“as MP4s for people”: students trained on videos/ of the set, decoded and brought back to its size, in place of "
    "the set itself."
)


def ordered(report: ReportDocument) -> list[Result]:
    """Results by stored size, then by method from the simplest to ours."""
    order = list(TITLES)
    return sorted(report.results, key=lambda r: (r.ipc or 1 << 30, order.index(r.method), r.set or ""))


def notes(report: ReportDocument) -> list[str]:
    """What has to be said of the methods in a report."""
    methods = {result.method for result in report.results}
    lossy = [_LOSSY_NOTE] * any(result.lossy for result in report.results)
    return [note for method, note in NOTES.items() if method in methods] + lossy


def title(result: Result) -> str:
    """What students trained on."""
    return TITLES[result.method] + ", soft labels" * result.soft_labels + ", as MP4s for people" * result.lossy


def percent(spread: Spread) -> str:
    """`45.3 ± 2.1`: mean and standard deviation in per cent."""
    return f"{100 * spread.mean:.1f} ± {100 * spread.std:.1f}"


def between(interval: tuple[float, float], sign: str = "") -> str:
    """`40.1 to 50.2`, in per cent; with the sign `+` both ends have one."""
    return " to ".join(f"{100 * end:{sign}.1f}" for end in interval)


def size(count: int) -> str:
    """Bytes for people."""
    amount, unit = float(count), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if amount >= 100 or unit == "B" else f"{amount:.1f} {unit}"


def table(report: ReportDocument) -> list[tuple[str, ...]]:
    """Header and rows: what was trained on, videos a class, stored bytes and frames, top-1, top-5, students."""
    has_top5 = any(result.top5 for result in report.results)
    top5 = ("top-5 %",) if has_top5 else ()
    rows: list[tuple[str, ...]] = [
        ("trained on", "videos/class", "stored", "frames", "top-1 %", "95 % interval", *top5, "students")
    ]
    for result in ordered(report):
        rows.append(
            (
                name(result),
                str(result.ipc) if result.ipc else "all",
                size(result.stored_bytes),
                str(result.stored_frames),
                percent(result.top1),
                between(result.interval),
                *([percent(result.top5) if result.top5 else ""] if has_top5 else []),
                str(result.top1.n),
            )
        )
    return rows


def name(result: Result) -> str:
    """What students trained on, and the set's folder where that says more."""
    return title(result) + (f" ({result.set})" if result.set and result.set != result.method else "")


def differences(report: ReportDocument) -> list[str]:
    """A sentence for each pair of results; one inside the noise is called that."""
    names = {(result.set or result.method, result.ipc): name(result) for result in report.results}
    lines = []
    for pair in report.differences:
        one, other = names[pair.one, pair.ipc], names[pair.other, pair.ipc]
        points = f"{100 * pair.top1:+.1f} points, {between(pair.interval, '+')}"
        verdict = "within the noise" if pair.is_noise else ("better" if pair.top1 > 0 else "worse")
        lines.append(f"{one} against {other}, {pair.ipc} a class: {points}: {verdict}")
    return lines


def per_class(report: ReportDocument) -> list[tuple[str, ...]]:
    """Header and rows: a class, and the share of its videos that students of each result found, in per cent."""
    results = ordered(report)
    rows: list[tuple[str, ...]] = [("class", *(f"{name(r)}, {r.ipc or 'all'}" for r in results))]
    for number, label in enumerate(report.classes):
        shares = [(result.confusion[number][number], sum(result.confusion[number])) for result in results]
        rows.append((label, *(f"{100 * right / every:.0f}" if every else "–" for right, every in shares)))
    return rows


def heading(report: ReportDocument) -> str:
    """What was scored, and what a figure is."""
    return (
        f"{report.source}: top-1 on {report.scored_videos} {report.scored_split} videos of {len(report.classes)} "
        f"classes (chance {100 * report.chance:.1f} %), mean ± std over students"
    )


def render(report: ReportDocument) -> str:
    """The summary: what was scored, the table, aligned, and notes on it."""
    head = f"{heading(report)}; intervals are of students and videos"
    return "\n\n".join([head, aligned(table(report)), "\n".join(differences(report)), *notes(report)])


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
