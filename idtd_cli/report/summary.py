"""What a report says, in words and in rows: the same for the terminal, for report.md and for report.html."""

from __future__ import annotations

import json
from collections.abc import Iterator

from idtd_cli.recipe import ScoringConfig, StudentFitConfig, flat, followed
from idtd_cli.report.document import Difference, Form, ReportDocument, Result, Spread

#: What each method is called for people, in the order in which they are shown.
TITLES = {
    "full": "full data",
    "random": "random real clips",
    "herding": "herding coreset",
    "k-center": "k-center coreset",
    "pixel": "pixel matching",
    "static-dynamic": "static-dynamic",
    "idtd": "IDTD",
    "other": "set of another tool",
}

#: What the figures of a method do not say by themselves.
NOTES = {
    "static-dynamic": "static-dynamic is counted as what its videos are rendered from: images and memories at one byte "
    "a number, although its authors store floats, and a convolution at four. Students train on the rendered videos, "
    "which are several for each that “videos/class” counts.",
}

#: What the name of a form adds to that of its set, and to its title.
ENDINGS: dict[Form, str] = {"own": "", "plain": "/plain", "lossy": "/videos"}
_FORMS: dict[Form, str] = {"own": "", "plain": ", seen as plain videos", "lossy": ", as MP4s for people"}
_LOSSY_NOTE = (
    "“as MP4s for people”: students trained on videos/ of the set, decoded and brought back to its size, in place of "
    "the set itself."
)


def ordered(report: ReportDocument) -> list[Result]:
    """Results of the protocol's student, by stored size, then by method from the simplest to ours."""
    order = list(TITLES)
    return sorted(
        (result for result in report.results if result.student == report.protocol.student.name),
        key=lambda r: (r.ipc or 1 << 30, order.index(r.method), r.set or ""),
    )


def notes(report: ReportDocument) -> list[str]:
    """What has to be said of the methods in a report."""
    methods = {result.method for result in report.results}
    lossy = [_LOSSY_NOTE] * any(result.form == "lossy" for result in report.results)
    return [note for method, note in NOTES.items() if method in methods] + lossy


def title(result: Result) -> str:
    """What students trained on."""
    told = [TITLES[result.method]]
    if result.selection == "peer-best-of-test":
        told.append("chosen on test")
    if result.soft_labels:
        told.append("soft labels")
    return ", ".join(told) + _FORMS[result.form]


def across(report: ReportDocument) -> list[tuple[str, ...]]:
    """Header and rows: top-1 of what was trained on (down) by each architecture (to the right); none with one alone."""
    students = (report.protocol.student.name, *report.protocol.across)
    if len(students) == 1:
        return []
    found = {(result.student, name(result), result.ipc): result for result in report.results}
    rows: list[tuple[str, ...]] = [("trained on", "videos/class", *(f"{student} %" for student in students))]
    for result in ordered(report):
        cells = (percent(found[student, name(result), result.ipc].top1) for student in students)
        rows.append((name(result), str(result.ipc) if result.ipc else "all", *cells))
    return rows


def percent(spread: Spread) -> str:
    """`45.3 ± 2.1`: mean and standard deviation in per cent."""
    return f"{100 * spread.mean:.1f} ± {100 * spread.std:.1f}"


def share(value: float) -> str:
    """`45.3 %`."""
    return f"{100 * value:.1f} %"


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
    """Header and rows: what was trained on, videos a class, top-1, top-5, students, stored bytes and frames.

    What was found stands first: a phone shows three columns.
    """
    has_top5 = any(result.top5 for result in report.results)
    top5 = ("top-5 %",) if has_top5 else ()
    rows: list[tuple[str, ...]] = [
        ("trained on", "videos/class", "top-1 %", "95 % interval", *top5, "students", "stored", "frames")
    ]
    for result in ordered(report):
        rows.append(
            (
                name(result),
                str(result.ipc) if result.ipc else "all",
                percent(result.top1),
                between(result.interval),
                *([percent(result.top5) if result.top5 else ""] if has_top5 else []),
                str(result.top1.n),
                size(result.stored_bytes),
                str(result.stored_frames),
            )
        )
    return rows


def name(result: Result) -> str:
    """What students trained on, and the set's folder where that says more."""
    called = result.set and result.set.removesuffix(ENDINGS[result.form])
    return title(result) + (f" ({called})" if called and called != result.method else "")


def form_of(called: str, form: Form) -> str:
    """What a form of a set is called: `sets/idtd`, `sets/idtd/plain`."""
    return called + ENDINGS[form]


def differences(report: ReportDocument) -> list[str]:
    """A sentence for each pair of results; one inside the noise is called that."""
    names = {(result.set or result.method, result.ipc): name(result) for result in ordered(report)}
    lines = []
    for pair in report.differences:
        one, other = names[pair.one, pair.ipc], names[pair.other, pair.ipc]
        points = f"{100 * pair.top1:+.1f} points, {between(pair.interval, '+')}"
        lines.append(f"{one} against {other}, {pair.ipc} a class: {points}: {verdict(pair)}")
    return lines


def verdict(pair: Difference) -> str:
    """What the first of a pair is to the other."""
    if pair.is_noise:
        return "within the noise"
    return "better" if pair.top1 > 0 else "worse"


def per_class(report: ReportDocument) -> list[tuple[str, ...]]:
    """Header and rows: a class, and the share of its videos that students of each result found, in per cent."""
    results = ordered(report)
    rows: list[tuple[str, ...]] = [("class", *(f"{name(r)}, {r.ipc or 'all'}" for r in results))]
    for number, label in enumerate(report.classes):
        shares = [(result.confusion[number][number], sum(result.confusion[number])) for result in results]
        rows.append((label, *(f"{100 * right / every:.0f}" if every else "–" for right, every in shares)))
    return rows


def sized(result: Result) -> str:
    """`IDTD, 1 a class`: a result among those of other sizes."""
    return name(result) + (f", {result.ipc} a class" if result.ipc else "")


def finding(report: ReportDocument) -> str:
    """What came out, in one sentence: the set with the highest mean, and what that is to be held against."""
    sets = [result for result in ordered(report) if result.set and result.form == "own"]
    best = max(sets or ordered(report), key=lambda result: result.top1.mean)
    among = f", the highest of {len(sets)} sets" if len(sets) > 1 else ""
    parts = [
        f"Trained on {sized(best)}, {size(best.stored_bytes)}, students find {share(best.top1.mean)} of the "
        f"{report.scored_split} videos{among}"
    ]
    for other in ordered(report):
        if other is best or other.set or other.ipc not in (best.ipc, None):
            continue
        apart = [d for d in report.differences if (d.one, d.other, d.ipc) == (best.set, other.method, other.ipc)]
        called = f"{title(other)} of as many bytes" if other.ipc else f"the {title(other)}"
        told = f" ({'' if apart[0].is_noise else 'the set is '}{verdict(apart[0])})" if apart else ""
        parts.append(f"on {called}, {share(other.top1.mean)}{told}")
    return "; ".join([*parts, f"by chance, {share(report.chance)}"]) + "."


def heading(report: ReportDocument) -> str:
    """What was scored, and what a figure is."""
    return (
        f"{report.source}: top-1 on {report.scored_videos} {report.scored_split} videos of {len(report.classes)} "
        f"classes (chance {share(report.chance)}), mean ± std over students"
    )


def reading(report: ReportDocument) -> list[str]:
    """How the figures are to be read."""
    return [
        "A figure is the mean and the standard deviation over students: networks of the same kind "
        f"({report.protocol.student.name}) that are trained from scratch on the set alone. Its interval holds 95 % of "
        "bootstrap draws of the students and of the videos.",
        f"Every student has {_length(report.protocol.fit)}, and is scored after the last: none is picked by score.",
        *_scoring(report.protocol.scoring),
        *[f"The protocol has a name: {name}." for name in followed(report.protocol)],
        "“stored” counts what a set keeps without compression: pixels as bytes, other numbers and floats as four.",
        *notes(report),
    ]


def _length(fit: StudentFitConfig) -> str:
    return f"{fit.steps} updates" if fit.epochs is None else f"{fit.epochs} passes over its set"


def _scoring(scoring: ScoringConfig) -> Iterator[str]:
    if scoring.views > 1:
        how = "each counts by itself" if scoring.combine == "accuracy" else "their probabilities are averaged"
        yield f"Every video is asked for in {scoring.views} temporal views; {how}."


def protocol(report: ReportDocument) -> list[tuple[str, str]]:
    """Keys of the recipe and their values, as `--set` takes them."""
    return [(f"evaluate.{key}", json.dumps(value)) for key, value in flat(report.protocol).items()]


def provenance(report: ReportDocument) -> list[tuple[str, str]]:
    """What made the report, and the digests of what it was made from."""
    software = ", ".join(f"{package} {version}" for package, version in report.versions.items())
    return [("hardware", report.hardware), ("software", f"{report.created_by}; {software}"), *report.parents.items()]
