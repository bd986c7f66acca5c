"""Results of several reports in one table, if they were measured alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from idtd_cli.report.caveats import sizes
from idtd_cli.report.document import ReportDocument, Result
from idtd_cli.report.summary import between, heading, name, ordered, percent, protocol, size
from idtd_cli.report.text import aligned

#: How many students there are, of which other architectures, and what they see of a set, is told with each result.
_TOLD = frozenset(f"evaluate.{key}" for key in ("students", "full_students", "soft_labels", "across", "plain", "lossy"))


@dataclass(frozen=True)
class Row:
    """A result and the report that it is from.

    Attributes:
        level: whether the best of its size may be no better: their difference is within the noise, or, where no report
            has both, their intervals overlap.
    """

    report: str
    result: Result
    level: bool


@dataclass(frozen=True)
class Comparison:
    """Results, by videos a class and from the best to the worst."""

    scored: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        results = [{"report": row.report, "level": row.level, **row.result.model_dump()} for row in self.rows]
        return {"scored": self.scored, "notes": self.notes, "results": results}


def differing(one: ReportDocument, other: ReportDocument) -> list[str]:
    """What two reports were not measured alike in, as `evaluate.fit.steps: 150, there 30`."""

    def measured(report: ReportDocument) -> dict[str, object]:
        data = {
            "data": report.source,
            "prepared set": report.parents.get("prepared", "none")[:12],
            "classes": len(report.classes),
            "scored videos": report.scored_videos,
        }
        return {key: value for key, value in protocol(report) if key not in _TOLD} | data

    here, there = measured(one), measured(other)
    return [
        f"{key}: {here.get(key)}, there {there.get(key)}" for key in here | there if here.get(key) != there.get(key)
    ]


def comparison(reports: Mapping[str, ReportDocument]) -> Comparison:
    """One table of reports, by name, that do not differ. Random clips and full data that are the same stand once."""
    seen: set[tuple[object, ...]] = set()
    found: list[tuple[str, Result]] = []
    for path, report in reports.items():
        for result in ordered(report):
            known = (result.method, result.ipc, result.top1.values) if result.set is None else (path, name(result))
            if known not in seen:
                seen.add(known)
                found.append((path, result))
    found.sort(key=lambda row: (row[1].ipc or 1 << 30, -row[1].top1.mean))
    best: dict[int | None, Result] = {}
    rows = []
    for path, result in found:
        leader = best.setdefault(result.ipc, result)
        rows.append(Row(path, result, leader is not result and _level(leader, result, reports.values())))
    return Comparison(
        heading(next(iter(reports.values()))),
        tuple(rows),
        (*sizes(row.result for row in rows), *_machines(reports.values())),
    )


def _level(best: Result, result: Result, reports: Iterable[ReportDocument]) -> bool:
    """Pairs of students say more than two intervals do, of which each has what both share."""
    for report in reports:
        if best in report.results and result in report.results:
            names = {best.set or best.method, result.set or result.method}
            for pair in report.differences:
                if {pair.one, pair.other} == names and pair.ipc == best.ipc:
                    return pair.is_noise
    return result.interval[1] >= best.interval[0]


def _machines(reports: Iterable[ReportDocument]) -> Iterator[str]:
    """What reports were not measured with the same of: no reason to refuse them, and one for small differences."""
    used = [{"hardware": report.hardware, **report.versions} for report in reports]
    kinds = dict.fromkeys(name for each in used for name in each)
    apart = {kind: dict.fromkeys(each.get(kind, "none") for each in used) for kind in kinds}
    told = [f"{kind} {' or '.join(values)}" for kind, values in apart.items() if len(values) > 1]
    if told:
        yield f"Not all were measured with the same machine and software, and may differ by that: {'; '.join(told)}."


def render(found: Comparison) -> str:
    """As text; results that may be as good as the best of their size are marked."""
    lines: list[tuple[str, ...]] = [
        ("trained on", "report", "videos/class", "top-1 %", "95 % interval", "students", "stored")
    ]
    lines += [(name(row.result) + " *" * row.level, row.report, *_figures(row.result)) for row in found.rows]
    marked = any(row.level for row in found.rows)
    notes = [
        "* the best of its size may be no better: the difference is within the noise, or intervals overlap"
    ] * marked
    return "\n\n".join([found.scored, aligned(lines), *notes, *found.notes])


def _figures(result: Result) -> Iterator[str]:
    yield str(result.ipc) if result.ipc else "all"
    yield percent(result.top1)
    yield between(result.interval)
    yield str(result.top1.n)
    yield size(result.stored_bytes)
