"""`idtd reproduce`: all stages for every method that a recipe names, and one report."""

from __future__ import annotations

from pathlib import Path

from idtd_cli.demo import defaults
from idtd_cli.errors import InputError
from idtd_cli.recipe import Recipe
from idtd_cli.report.document import ReportDocument
from idtd_cli.runlog import Progress
from idtd_cli.stages import demo_data, distill, evaluate, export, prepare
from idtd_cli.students import registry

_PARTS = ("data", "prepared", "runs", "sets", "report")


def run(recipe: Recipe, out: Path, source: str | Path | None, device: str, progress: Progress) -> ReportDocument:
    """Prepare, distil, export and evaluate under one folder; a stage whose output is complete and unchanged is skipped.

    Args:
        recipe: what to do.
        out: gets data/ (the demo set, without a source), prepared/, runs/METHOD/, sets/METHOD/ and report/.
        source: videos, as `idtd prepare` takes them; None writes and takes the demo set.
        device: "cpu" or "cuda".
        progress: where to report to.

    Raises:
        InputError: `out` holds something else, or a network of the recipe cannot take its clips; nothing was written.
        IdtdError: as the stages do.
    """
    if out.exists() and not (out.is_dir() and all(p.name in _PARTS or p.name[0] == "." for p in out.iterdir())):
        raise InputError(f"{out} already holds something else.", "Name an empty or a new folder.")
    clip = recipe.prepare.clip
    for network in (recipe.distill.network, recipe.evaluate.student):  # now, and not when hours have gone by
        registry.build(network, registry.Task(2, clip.frames, clip.height, clip.width), 0, "cpu")
    if source is None:
        source = out / "data"
        demo_data.run(
            source,
            classes=defaults.CLASSES,
            train=defaults.TRAIN,
            test=defaults.TEST,
            size=defaults.SIZE,
            frames=defaults.FRAMES,
            seed=defaults.SEED,
            progress=progress,
        )
    prepare.run(source, out / "prepared", recipe, progress)
    for method in recipe.methods:
        section = recipe.distill.model_copy(update={"method": method})
        distill.run(
            out / "prepared",
            out / "runs" / method,
            recipe.model_copy(update={"distill": section}),
            device,
            resume=True,
            progress=progress,
        )
        export.run(out / "runs" / method, out / "sets" / method, progress)
    sets = [out / "sets" / method for method in recipe.methods]
    return evaluate.run(sets, out / "prepared", out / "report", recipe, device, progress)
