"""`idtd reproduce` of a recipe with a grid: all stages for each cell, and one table."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import get_args

from idtd_cli import documents, storage
from idtd_cli.distilled import SUMS, digest
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.prepared import PreparedDocument
from idtd_cli.recipe import Cell, FigureName, Recipe, flat
from idtd_cli.report import table
from idtd_cli.report.document import ReportDocument
from idtd_cli.report.figures.table_chart import table_chart
from idtd_cli.report.table import Scores, TableDocument
from idtd_cli.run_folder import RunDocument, RunFolder
from idtd_cli.runlog import Progress, duration
from idtd_cli.stages import distill, evaluate, experts, export, figures, prepare, reproduce
from idtd_cli.stages.distill import validate

_CHART = "table"
_PARTS = (
    *("data", "prepared", "experts", "runs", "sets", "reports", TableDocument.FILE, table.MARKDOWN, table.CSV),
    *(f"{name}.{end}" for name in (_CHART, *get_args(FigureName)) for end in ("png", "svg", "csv", "md")),
)


def run(
    recipe: Recipe, only: Sequence[str], out: Path, source: str | Path | None, device: str, progress: Progress
) -> TableDocument:
    """Fill the cells of a recipe's grid, all or some, and write the table of those that are done.

    What several cells share is made once: a prepared set, a distillation, a report with all of its sets. Each lies in a
    folder that is named after the settings that it differs by from the recipe, and their digest; so the recipe may get
    other arms and values, and what there is of them is kept. A distillation for which videos are scored on the way
    (`distill.validate_every`) takes the students of the recipe without changes. A cell that cannot be done does not
    keep the others from it.

    Args:
        recipe: has a grid.
        only: which cells, as `ipc=1,arm=whole method`; those that one of these fits. None given: all.
        out: gets data/ (the demo set, without a source), prepared/, experts/, runs/, sets/, reports/ and the table.
        source: videos, as `idtd prepare` takes them; None writes and takes the demo set.
        device: "cpu" or "cuda".
        progress: where to report to.

    Raises:
        InputError: `only` names what there is not, `out` holds something else, or a network of a cell cannot take its
            clips; nothing was written.
        IdtdError: a stage failed before the first cell, or in some cells; the others are done.
    """
    cells = recipe.cells()
    asked = choose(recipe, cells, only)
    reproduce.need_own(out, _PARTS)
    if (out / "prepared" / PreparedDocument.FILE).is_file():
        raise InputError(f"{out} holds what a recipe without a grid made.", "Name a new folder.")
    for cell in asked:
        reproduce.need_fitting_networks(cell.recipes[0])
    source = reproduce.demo_set(out, progress) if source is None else source
    work = _Work(recipe, out, device, progress)
    for folder, one in {work.prepared(cell.recipes[0]): cell.recipes[0] for cell in asked}.items():
        prepare.run(source, folder, one, progress)

    todo = [cell for cell in asked if not work.scores(cell)]
    if len(todo) < len(asked):
        progress.note(f"{len(asked) - len(todo)} of {len(asked)} cells are done: nothing to do for them.")
    failed: list[str] = []
    began = time.monotonic()
    for number, cell in enumerate(todo, start=1):
        progress.note(f"Cell {number} of {len(todo)}: {cell}.")
        try:
            work.fill(cell)
        except IdtdError as error:
            progress.note(f"{cell} could not be done: {error}")
            failed.append(f"{cell} ({error.message.removesuffix('.')})")
            continue
        _write(recipe, cells, work, out)
        took = time.monotonic() - began
        left = f", about {duration(took / number * (len(todo) - number))} left" if number < len(todo) else ""
        progress.note(f"{number - len(failed)} of {len(todo)} cells done in {duration(took)}{left}.")
    document = _write(recipe, cells, work, out)
    _draw(recipe, cells, work, out, progress)
    if failed:
        count = "A cell" if len(failed) == 1 else f"{len(failed)} cells"
        raise IdtdError(
            f"{count} could not be done: {'; '.join(failed)}.", f"The others are in {out / table.MARKDOWN}."
        )
    return document


def choose(recipe: Recipe, cells: Sequence[Cell], only: Sequence[str]) -> list[Cell]:
    """The cells that one of `only` fits, in the order of the grid; all, if there is none.

    Raises:
        InputError: one of them names an axis or a value that there is not.
    """
    wanted = [_wanted(recipe, text) for text in only] or [{}]

    def fits(cell: Cell, one: dict[str, set[str]]) -> bool:
        place = cell.place | {"arm": cell.arm}
        return all(place[axis] in names for axis, names in one.items())

    return [cell for cell in cells if any(fits(cell, one) for one in wanted)]


def _wanted(recipe: Recipe, text: str) -> dict[str, set[str]]:
    """`ipc=1,arm=a` as axis → names of values. A comma parts only where an axis follows: names may hold some."""
    there = {"arm": list(recipe.arms)} | {axis: list(values) for axis, values in recipe.grid.axes.items()}
    axes = {axis: axis for axis in there} | {recipe.grid.short(axis): axis for axis in recipe.grid.axes}
    wanted: dict[str, set[str]] = {}
    for part in re.split(rf",\s*(?=(?:{'|'.join(map(re.escape, axes))})\s*=)", text):
        axis, _, name = (word.strip().strip("\"'") for word in part.partition("="))
        if axis not in axes:
            known = ", ".join(dict.fromkeys(recipe.grid.short(axis) if axis != "arm" else axis for axis in there))
            raise InputError(f"--only {text}: the grid has no {axis or 'axis without a name'}.", f"It has {known}.")
        if name not in there[axes[axis]]:
            known = " or ".join(there[axes[axis]])
            raise InputError(f"--only {text}: {axis} is never {name or 'empty'}.", f"It is {known}.")
        wanted.setdefault(axes[axis], set()).add(name)
    return wanted


def _write(recipe: Recipe, cells: Sequence[Cell], work: _Work, out: Path) -> TableDocument:
    """The table of the cells that are done, in its three forms."""
    document = table.table(recipe, [(cell, work.scores(cell)) for cell in cells])
    storage.write_text(out / table.CSV, table.to_csv(document))
    storage.write_text(out / table.MARKDOWN, table.to_markdown(document))
    if document.rows:
        png, svg = table_chart(document)
        storage.write_bytes(out / f"{_CHART}.png", png)
        storage.write_text(out / f"{_CHART}.svg", svg)
    document.write(out)
    return document


def _draw(recipe: Recipe, cells: Sequence[Cell], work: _Work, out: Path, progress: Progress) -> None:
    """The other figures, once all arms at the first place are done."""
    known = [(cell, work.scores(cell)) for cell in cells if cell.place == cells[0].place]
    arms = [work.arm(cell, scores) for cell, scores in known if scores]
    for name in get_args(FigureName):  # of other arms than there are now, perhaps
        if name not in recipe.grid.figures or len(arms) < len(known):
            for end in ("png", "svg", "csv", "md"):
                (out / f"{name}.{end}").unlink(missing_ok=True)
    if not recipe.grid.figures or len(arms) < len(known):
        return
    with progress.stage("figures", len(recipe.grid.figures)) as bar:
        for figure in figures.draw(recipe.grid.figures, arms, progress):
            for name, content in figure.files().items():
                storage.write_bytes(out / name, content)
            bar.advance(figure=figure.name)


class _Work:
    """The folders under `out`, and the stages that fill them. Cells with the same settings name the same folder."""

    def __init__(self, base: Recipe, out: Path, device: str, progress: Progress) -> None:
        self._base, self._out, self._device, self._progress = base, out, device, progress

    def prepared(self, recipe: Recipe) -> Path:
        clip = recipe.prepare.clip
        told = ("prepare.clip.frames", "prepare.clip.height", "prepare.clip.width")
        name = self._name(f"{clip.frames}x{clip.height}x{clip.width}", recipe, ["prepare"], told)
        return self._out / "prepared" / name

    def scores(self, cell: Cell) -> Scores | None:
        """What is known of a cell; None if it is not done, or not of what lies in its folders now."""
        one = cell.recipes[0]
        prepared, folder = self.prepared(one), self._report(one)
        sets = [self._set(recipe) for recipe in cell.recipes]
        files = [prepared / PreparedDocument.FILE, folder / ReportDocument.FILE, *(path / SUMS for path in sets)]
        if not all(path.is_file() for path in files):
            return None
        report = documents.read(ReportDocument, folder)
        parents = {documents.read(PreparedDocument, prepared).digest(), *map(digest, sets)}
        if not parents <= {*report.parents.values()}:
            return None
        return Scores(report, tuple(path.name for path in sets), self._seconds(cell))

    def arm(self, cell: Cell, scores: Scores) -> figures.Arm:
        """A cell that is done, as figures look at it."""
        sets = tuple(self._set(recipe) for recipe in cell.recipes)
        return figures.Arm(cell.arm, self.prepared(cell.recipes[0]), sets, scores)

    def fill(self, cell: Cell) -> None:
        """Run all stages for a cell, as far as they are not done."""
        one = cell.recipes[0]
        prepared, folder = self.prepared(one), self._report(one)
        for recipe in cell.recipes:
            made_by, trained = self._recipe_of_run(recipe), None
            if distill.experts_for(recipe.distill):
                trained = self._experts(recipe)
                experts.run(prepared, trained, made_by, self._device, self._progress)
            run = self._run(recipe)
            distill.run(prepared, run, made_by, self._device, True, self._progress, trained)
            export.run(run, self._set(recipe), recipe.export, self._progress)
        sets = [self._set(recipe) for recipe in cell.recipes]
        if (folder / ReportDocument.FILE).is_file():  # it grows
            report = documents.read(ReportDocument, folder)
            there = [self._out / "sets" / r.set for r in report.results if r.set and r.form == "own"]
            there = [
                path
                for path in dict.fromkeys(there)
                if (path / SUMS).is_file() and digest(path) in report.parents.values()
            ]
            if len(there) < sum(name.startswith("set ") for name in report.parents):
                (folder / ReportDocument.FILE).unlink()  # a set was removed or made anew; all scores are kept beside it
            sets = there + sets
        evaluate.run(list(dict.fromkeys(sets)), prepared, folder, one, self._device, self._progress)

    def _recipe_of_run(self, recipe: Recipe) -> Recipe:
        """What a run is made by: the same for all cells that share it, whichever comes first."""
        sections = ["prepare", "distill", *(["experts"] if distill.experts_for(recipe.distill) else [])]
        return self._base.model_copy(update={section: getattr(recipe, section) for section in sections})

    def _seconds(self, cell: Cell) -> float | None:
        runs = [self._run(recipe) for recipe in cell.recipes]
        took = [RunFolder.open(run).seconds() if (run / RunDocument.FILE).is_file() else None for run in runs]
        known = [seconds for seconds in took if seconds is not None]
        return fmean(known) if len(known) == len(runs) else None

    def _experts(self, recipe: Recipe) -> Path:
        settings = ["prepare", "experts", "distill.network", "distill.augmentation"]
        return self._out / "experts" / self._name(recipe.distill.network.name, recipe, settings)

    def _run(self, recipe: Recipe) -> Path:
        config = recipe.distill
        settings = ["prepare", "distill", *(["experts"] if distill.experts_for(config) else [])]
        if config.validates:
            settings += [f"evaluate.{part}" for part in validate.PROTOCOL]
        made_by, told = self._recipe_of_run(recipe), ("distill.method", "distill.ipc")
        name = self._name(f"{config.method}-ipc{config.ipc}", made_by, settings, told)
        return self._out / "runs" / f"{name}-{config.seed}"

    def _set(self, recipe: Recipe) -> Path:
        return self._out / "sets" / self._run(recipe).name

    def _report(self, recipe: Recipe) -> Path:
        # As many random clips stand beside sets of one length.
        settings = ["prepare", "evaluate", "distill.frames"]
        return self._out / "reports" / self._name(recipe.evaluate.student.name, recipe, settings)

    def _name(self, head: str, recipe: Recipe, settings: Sequence[str], told: Sequence[str] = ()) -> str:
        """A folder's name: what is in it, how its settings differ from the recipe's, and a digest.

        The digest is of all these settings but the seed. Should two agree in it, the stages refuse the second.
        """
        base, here = (flat(prepare.without_machine(each)) for each in (self._base, recipe))
        parts = tuple(f"{part}." for part in settings)
        within = {key: value for key, value in here.items() if f"{key}.".startswith(parts) and key != "distill.seed"}
        changes = [
            f"{key.rpartition('.')[2]}_{value}"
            for key, value in within.items()
            if base[key] != value and key not in told
        ]
        readable = re.sub(r"[^A-Za-z0-9._]+", "-", "-".join([head, *changes]))[:60]
        return f"{readable.strip('-')}-{storage.sha256_bytes(json.dumps(within, sort_keys=True).encode())[:8]}"
