"""Results of several reports in one table, if they were measured alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from idtd_cli.recipe import flat
from idtd_cli.report.document import ReportDocument, Result
from idtd_cli.report.summary import between, heading, name, percent, size
from idtd_cli.report.text import aligned

#: How many students there are, and whether they learn from soft labels, is told with each result.
_TOLD = frozenset({"students", "full_students", "soft_labels"})


@dataclass(frozen=True)
class Comparison:
    """Results, by videos a class and from the best to the worst; each with the report that it is from."""

    scored: str
    rows: tuple[tuple[str, Result], ...]

    def as_json(self) -> dict[str, Any]:
        return {"scored": self.scored, "results": [{"report": r, **result.model_dump()} for r, result in self.rows]}


def differing(one: ReportDocument, other: ReportDocument) -> list[str]:
    """What two reports were not measured alike in, as `fit.steps: 150, there 30`."""

    def measured(report: ReportDocument) -> dict[str, object]:
        protocol = {key: value for key, value in flat(report.protocol).items() if key not in _TOLD}
        return protocol | {"prepared set": report.parents["prepared"][:12]}

    here, there = measured(one), measured(other)
    return [
        f"{key}: {here.get(key)}, there {there.get(key)}" for key in here | there if here.get(key) != there.get(key)
    ]


def comparison(reports: Mapping[str, ReportDocument]) -> Comparison:
    """One table of reports, by name, that do not differ. Random clips and full data that are the same stand once."""
    seen: set[tuple[object, ...]] = set()
    rows = []
    for path, report in reports.items():
        for result in report.results:
            known = (result.method, result.ipc, result.top1.values) if result.set is None else (path, result.set)
            if known not in seen:
                seen.add(known)
                rows.append((path, result))
    rows.sort(key=lambda row: (row[1].ipc or 1 << 30, -row[1].top1.mean))
    return Comparison(heading(next(iter(reports.values()))), tuple(rows))


def render(found: Comparison) -> str:
    """As text; results that the best of their size may not be better than are marked."""
    lines: list[tuple[str, ...]] = [
        ("trained on", "report", "videos/class", "stored", "top-1 %", "95 % interval", "students")
    ]
    marked = False
    best: dict[int | None, Result] = {}
    for path, result in found.rows:
        leader = best.setdefault(result.ipc, result)
        near = leader is not result and result.interval[1] >= leader.interval[0]
        marked |= near
        lines.append((name(result) + " *" * near, path, *_figures(result)))
    notes = ["* its interval overlaps that of the best of its size: not told apart by this table"] * marked
    return "\n\n".join([found.scored, aligned(lines), *notes])


def _figures(result: Result) -> Iterator[str]:
    yield str(result.ipc) if result.ipc else "all"
    yield size(result.stored_bytes)
    yield percent(result.top1)
    yield between(result.interval)
    yield str(result.top1.n)
