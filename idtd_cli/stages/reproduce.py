"""`idtd reproduce`: all stages for every method that a recipe names, and one report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from idtd_cli.demo import defaults
from idtd_cli.errors import InputError
from idtd_cli.recipe import Recipe
from idtd_cli.report.document import ReportDocument
from idtd_cli.runlog import Progress
from idtd_cli.stages import demo_data, distill, evaluate, experts, export, prepare
from idtd_cli.students import registry

_PARTS = ("data", "prepared", "experts", "runs", "sets", "report")


def run(recipe: Recipe, out: Path, source: str | Path | None, device: str, progress: Progress) -> ReportDocument:
    """Prepare, distil, export and evaluate under one folder; a stage whose output is complete and unchanged is skipped.

    Args:
        recipe: what to do.
        out: gets data/ (the demo set, without a source), prepared/, experts/ (where they are needed), runs/METHOD/,
            sets/METHOD/ and report/.
        source: videos, as `idtd prepare` takes them; None writes and takes the demo set.
        device: "cpu" or "cuda".
        progress: where to report to.

    Raises:
        InputError: `out` holds something else, or a network of the recipe cannot take its clips; nothing was written.
        IdtdError: as the stages do.
    """
    need_own(out, _PARTS)
    recipe.cells()  # each method is looked at as a whole recipe
    need_fitting_networks(recipe)
    source = demo_set(out, progress) if source is None else source
    prepare.run(source, out / "prepared", recipe, progress)
    for method in recipe.methods:
        section = recipe.distill.model_copy(update={"method": method})
        trained = None
        if distill.experts_for(section):
            trained = out / "experts"
            experts.run(out / "prepared", trained, recipe, device, progress)
        distill.run(
            out / "prepared",
            out / "runs" / method,
            recipe.model_copy(update={"distill": section}),
            device,
            resume=True,
            progress=progress,
            experts=trained,
        )
        export.run(out / "runs" / method, out / "sets" / method, recipe.export, progress)
    sets = [out / "sets" / method for method in recipe.methods]
    return evaluate.run(sets, out / "prepared", out / "report", recipe, device, progress)


def need_own(out: Path, parts: Sequence[str]) -> None:
    """
    Raises:
        InputError: the folder holds other things than these parts.
    """
    if out.exists() and not (out.is_dir() and all(p.name in parts or p.name[0] == "." for p in out.iterdir())):
        raise InputError(f"{out} already holds something else.", "Name an empty or a new folder.")


def need_fitting_networks(recipe: Recipe) -> None:
    """
    Raises:
        InputError: a network of the recipe cannot take its clips. Now, and not when hours have gone by.
    """
    clip = recipe.prepare.clip
    student = recipe.evaluate.student
    others = (student.model_copy(update={"name": name}) for name in recipe.evaluate.across)
    for network in (recipe.distill.network, student, *others):
        registry.build(network, registry.Task(2, clip.frames, clip.height, clip.width), 0, "cpu")


def demo_set(out: Path, progress: Progress) -> Path:
    """The demo set in `out`, written unless it is there."""
    folder = out / "data"
    demo_data.run(
        folder,
        classes=defaults.CLASSES,
        train=defaults.TRAIN,
        test=defaults.TEST,
        size=defaults.SIZE,
        frames=defaults.FRAMES,
        seed=defaults.SEED,
        progress=progress,
    )
    return folder
