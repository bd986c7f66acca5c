"""table.json: how well each cell of a recipe's grid does; the same as CSV, as Markdown and as text."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from idtd_cli.documents import Document
from idtd_cli.recipe import Cell, Recipe, Section
from idtd_cli.report.document import ReportDocument, Result
from idtd_cli.report.figures.figure import lines
from idtd_cli.report.markdown import listed
from idtd_cli.report.summary import NOTES, TITLES, ordered, size
from idtd_cli.report.text import aligned

MARKDOWN = "table.md"
CSV = "table.csv"
#: A difference of no more standard errors than this is noise.
_NOISE = 2.0
_REFERENCES = ("random", "full")


class Row(Section):
    """A cell of the grid, or a reference beside some."""

    arm: str = Field(description="of a reference its method, and beside which arm, where it is not that of the first")
    place: dict[str, str] = Field(description="axis → name of its value")
    method: str = Field(description="a method of distill.method, random or full")
    seeds: int = Field(description="distillations, and so sets; 0 for a reference")
    students: int = Field(description="of each set")
    n: int = Field(description="students in all")
    top1: float = Field(description="share of scored videos whose class was found, mean of all students")
    error: float | None = Field(description="standard error of the mean; null where there is a single score")
    error_over: Literal["distillations", "students"] = Field(description="what the standard error is taken over")
    difference: float | None = Field(
        description="from the first arm at this place, in standard errors of the difference; null for that arm itself, "
        "and where either has no error"
    )
    top1_of_sets: tuple[float, ...] = Field(description="of each set, in the order of the seeds; none for a reference")
    stored_bytes: int
    stored_frames: int
    stored_parameters: int
    seconds: float | None = Field(description="of one distillation's steps, on average; null where it is not known")
    report: str = Field(description="digest of the report that holds the scores")


class Scored(Section):
    """What a report scored on."""

    source: str
    split: str
    videos: int
    classes: int = Field(ge=1)


class TableDocument(Document):
    """The table of a recipe's grid, as far as its cells are done. Parents are the reports that its figures are from."""

    KIND: ClassVar[str] = "table"
    FILE: ClassVar[str] = "table.json"
    COMMAND: ClassVar[str] = "idtd reproduce RECIPE OUT"
    SEALED: ClassVar[bool] = True

    name: str = Field(description="of the recipe")
    description: str
    seeds: int = Field(description="distillations of each cell")
    arms: tuple[str, ...] = Field(description="all of them, done or not")
    axes: dict[str, tuple[str, ...]] = Field(description="axis → names of its values")
    headings: tuple[str, ...] = Field(
        description="of every value of each axis with every value of the others, in order"
    )
    scored: tuple[Scored, ...] = Field(description="each data that was scored on")
    rows: tuple[Row, ...] = Field(description="cells that are done, and the references beside them")

    @model_validator(mode="after")
    def _holds_together(self) -> TableDocument:
        if len(self.headings) != math.prod(map(len, self.axes.values())):
            raise ValueError(f"there are {len(self.headings)} headings, and not one for each place of the axes")
        for row in self.rows:
            if row.seeds == 0 and row.method not in _REFERENCES:
                raise ValueError(f"the row {row.arm} has no seeds, and is none of {', '.join(_REFERENCES)}")
        return self


@dataclass(frozen=True)
class Scores:
    """What is known of a cell that is done."""

    report: ReportDocument
    sets: tuple[str, ...]  #: names in the report, in the order of the seeds
    seconds: float | None  #: of one distillation, on average


def table(recipe: Recipe, cells: Sequence[tuple[Cell, Scores | None]]) -> TableDocument:
    """The table of a recipe, from all cells of its grid in their order; None for a cell that is not done."""
    grid = recipe.grid
    reports = {scores.report.digest(): scores.report for _, scores in cells if scores}
    columns = [list(column) for _, column in groupby(cells, key=lambda pair: pair[0].place)]
    scored = [
        Scored(source=each.source, split=each.scored_split, videos=each.scored_videos, classes=len(each.classes))
        for each in reports.values()
    ]
    return TableDocument(
        parents={f"report {number}": digest for number, digest in enumerate(reports, start=1)},
        name=recipe.name,
        description=recipe.description,
        seeds=grid.seeds,
        arms=tuple(recipe.arms),
        axes={axis: tuple(values) for axis, values in grid.axes.items()},
        headings=tuple(column[0][0].heading for column in columns),
        scored=tuple(dict.fromkeys(scored)),
        rows=tuple(row for column in columns for row in _column(column)),
    )


def _column(cells: Sequence[tuple[Cell, Scores | None]]) -> Iterator[Row]:
    """The rows of one place: the arms that are done, and the references beside them, each once."""
    rows = [(_row(cell.arm, cell.place, _results(scores), scores), cell) for cell, scores in cells if scores]
    first = next((row for row, cell in rows if cell is cells[0][0]), None)
    for row in [*(row for row, _ in rows), *_references(cells)]:
        yield row.model_copy(update={"difference": _difference(row, first)}) if first and row is not first else row


def _results(scores: Scores) -> list[Result]:
    """The results of a cell's sets, in the order of the seeds."""
    by_set = {result.set: result for result in ordered(scores.report) if result.form == "own"}
    return [by_set[name] for name in scores.sets]


def _references(cells: Sequence[tuple[Cell, Scores | None]]) -> Iterator[Row]:
    """Random clips and full data: cells with the same data, protocol and videos share theirs."""
    beside: dict[object, str] = {}
    told = set()
    for method in _REFERENCES:
        for cell, scores in cells:
            recipe = cell.recipes[0]
            ipc = recipe.distill.ipc if method == "random" else None
            frames = recipe.distill.video_frames(recipe.prepare.clip.frames) if method == "random" else None
            # Real clips have no soft labels: whether students would learn from them is all the same.
            shared = (method, ipc, frames, recipe.prepare, recipe.evaluate.model_copy(update={"soft_labels": False}))
            arm = beside.setdefault(shared, cell.arm)
            found = (
                [r for r in ordered(scores.report) if (r.method, r.ipc, r.set) == (method, ipc, None)] if scores else []
            )
            if scores and found and shared not in told:
                told.add(shared)
                yield _row(method if arm == cells[0][0].arm else f"{method} ({arm})", cell.place, found, scores)


def _row(arm: str, place: dict[str, str], results: Sequence[Result], scores: Scores) -> Row:
    """The figures of some results that belong together.

    Students of one set share its distillation: the error is taken over the means of the sets where there are several,
    which is the larger and the honest one.
    """
    values = [value for result in results for value in result.top1.values]
    means = tuple(result.top1.mean for result in results)
    units = means if len(means) > 1 else values
    reference = results[0].set is None
    return Row(
        arm=arm,
        place=place,
        method=results[0].method,
        seeds=0 if reference else len(results),
        students=results[0].top1.n,
        n=len(values),
        top1=statistics.fmean(values),
        error=statistics.stdev(units) / math.sqrt(len(units)) if len(units) > 1 else None,
        error_over="distillations" if len(means) > 1 else "students",
        difference=None,
        top1_of_sets=() if reference else means,
        stored_bytes=results[0].stored_bytes,
        stored_frames=results[0].stored_frames,
        stored_parameters=results[0].stored_parameters,
        seconds=None if reference else scores.seconds,
        report=scores.report.digest(),
    )


def _difference(row: Row, first: Row) -> float | None:
    if row.error is None or first.error is None or not (scale := math.hypot(row.error, first.error)):
        return None
    return (row.top1 - first.top1) / scale


def to_csv(document: TableDocument) -> str:
    """One line a row; shares, not per cent. An axis that is no key is called `axis NAME`."""
    figures = [name for name in Row.model_fields if name not in ("arm", "place")]
    axes = [axis if "." in axis else f"axis {axis}" for axis in document.axes]
    rows = []
    for row in document.rows:
        content = row.model_dump() | {"top1_of_sets": " ".join(f"{mean:.6f}" for mean in row.top1_of_sets)}
        rows.append([row.arm, *row.place.values(), *(content[name] for name in figures)])
    return lines(["arm", *axes, *figures], rows)


def to_markdown(document: TableDocument) -> str:
    """The table to read, and what its figures are."""
    parts = [f"# {document.name}", document.description, listed(_lines(document)), _notes(document)]
    return "\n\n".join(part for part in parts if part) + "\n"


def render(document: TableDocument) -> str:
    """The table as plain text, aligned."""
    return f"{aligned(_lines(document))}\n\n{_notes(document)}"


def _lines(document: TableDocument) -> list[tuple[str, ...]]:
    """Header and rows: an arm and its figure at each place; then the references.

    What is stored stands in the header, and beside the figures of a row that stores something else.
    """
    figures = {(row.seeds == 0, row.arm, tuple(row.place.values())): row for row in document.rows}
    references = {row.arm: row.method for row in document.rows if row.seeds == 0}
    names = [(False, arm) for arm in document.arms]
    names += [(True, arm) for arm in sorted(references, key=lambda arm: _REFERENCES.index(references[arm]))]
    places = list(product(*document.axes.values()))
    rows = [[figures.get((*name, place)) for place in places] for name in names]
    stored = [next((row.stored_bytes for row in column if row), None) for column in zip(*rows, strict=True)]
    headings = [
        heading if count is None else f"{heading} ({size(count)})"
        for heading, count in zip(document.headings, stored, strict=True)
    ]
    lines: list[tuple[str, ...]] = [("trained on", *headings)]
    for (reference, arm), cells in zip(names, rows, strict=True):
        method = next((row.method for row in cells if row), arm)
        name = TITLES.get(method, method) + arm.removeprefix(method) if reference or arm == method else arm
        lines.append((name, *(_figure(row, count) for row, count in zip(cells, stored, strict=True))))
    return lines


def _figure(row: Row | None, stored: int | None) -> str:
    if row is None:
        return "–"
    error = "" if row.error is None else f" ± {100 * row.error:.1f}"
    noise = "" if row.difference is None or abs(row.difference) > _NOISE else ", within noise"
    own = "" if row.stored_bytes == stored else f", {size(row.stored_bytes)}"
    return f"{100 * row.top1:.1f}{error} ({row.n}){own}{noise}"


def _notes(document: TableDocument) -> str:
    on = "; ".join(
        f"{scored.videos} {scored.split} videos of {scored.classes} classes of {scored.source} "
        f"(chance {100 / scored.classes:.1f} %)"
        for scored in document.scored
    )
    over = (
        f"the means of the {document.seeds} distillations"
        if document.seeds > 1
        else "the students of the one distillation, and so leaves out what another distillation would change"
    )
    figures = (
        f"Top-1 in per cent{on and f' on {on}'}: mean ± standard error of the mean (students). The "
        f"error is over {over}; that of random clips and of the full data is over their students. Within noise: no "
        f"more than {_NOISE:.0f} standard errors of the difference from the first row. Bytes are what is stored: in "
        "the head, or beside the figures of what stores something else."
    )
    methods = {row.method for row in document.rows}
    return "\n\n".join([figures, *(note for method, note in NOTES.items() if method in methods)])
