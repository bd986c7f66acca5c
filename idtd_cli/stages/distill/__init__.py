"""`idtd distill`: prepared set → run. Videos are made by matching, or clips are chosen; this stage feeds and records.

The matching loop itself is in `idtd_cli.method.loop`, the choice of clips in `idtd_cli.baselines.coreset`.
"""

from __future__ import annotations

from pathlib import Path

import torch

from idtd_cli import provenance, storage
from idtd_cli.baselines.coreset import CHOICES
from idtd_cli.errors import InputError
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import Recipe, section_digest
from idtd_cli.run_folder import RunDocument, RunFolder, differences
from idtd_cli.runlog import Progress
from idtd_cli.stages.distill.choose import choose
from idtd_cli.stages.distill.job import Job
from idtd_cli.stages.distill.match import match
from idtd_cli.students import registry


def run(prepared: Path, out: Path, recipe: Recipe, device: str, resume: bool, progress: Progress) -> RunFolder:
    """Distil a prepared set into a run folder; a finished run of the same recipe and set is left as it is.

    Args:
        prepared: a prepared set.
        out: the run folder, to make or (with `resume`) to go on with.
        recipe: its `distill` section is what runs.
        device: "cpu" or "cuda".
        resume: go on from the last checkpoint; a coreset, which has none, starts again.
        progress: where to report to.

    Raises:
        InputError: the folders or the recipe do not fit together.
        IdtdError: a loss, the videos or the embeddings became non-finite.
        KeyboardInterrupt: passed on, of matching after a checkpoint was written.
    """
    source = PreparedSet.open(prepared)
    clip = source.document.clip
    task = registry.Task(len(source.document.classes), clip.frames, clip.height, clip.width)
    folder = _open(source, out, recipe, task, device, resume)
    if folder.finished:
        progress.note(f"{out} already holds this run, finished: nothing to do.")
        return folder

    videos_NF3HW, labels_N = source.clips("train")
    real = RealClips(videos_NF3HW.to(device), labels_N.to(device), task.classes)
    normalisation = Normalisation(source.document.mean, source.document.std, device)
    job = Job(recipe.distill, task, real, normalisation, device)
    make = choose if recipe.distill.method in CHOICES else match
    videos_NT3HW = make(job, folder, progress)
    return folder.finish(videos_NT3HW.cpu(), torch.arange(real.classes).repeat_interleave(recipe.distill.ipc))


def _open(source: PreparedSet, out: Path, recipe: Recipe, task: registry.Task, device: str, resume: bool) -> RunFolder:
    """The run folder to work in: a new one, the one to resume, or the finished one."""
    document = source.document
    if recipe.prepare.clip != document.clip:
        raise InputError(
            f"The recipe's clips are not those of {source.folder}: prepare.clip differs.",
            "Prepare the set again with this recipe, or leave --recipe out to take the one it was prepared with.",
        )
    smallest = min(document.counts["train"].items(), key=lambda item: item[1])
    if smallest[1] < recipe.distill.ipc:
        raise InputError(
            f"Class {smallest[0]} has {smallest[1]} training clips; distill.ipc asks for {recipe.distill.ipc}.",
            "Lower distill.ipc, or prepare more clips.",
        )
    registry.build(recipe.distill.network, task, 0, "cpu")  # a network that cannot take these clips stops here
    parents = {"prepared": document.digest(), "distill": section_digest(recipe.distill)}
    if not storage.is_empty(out):
        folder = RunFolder.open(out)
        if folder.document.parents["prepared"] != parents["prepared"]:
            raise InputError(f"{out} was made from another prepared set.", "Name a new folder.")
        if folder.document.parents != parents:
            changed = "; ".join(differences(folder.document.recipe, recipe, "distill"))
            raise InputError(f"{out} was made by another recipe ({changed}).", "Name a new folder.")
        if not folder.finished and not resume:
            raise InputError(f"{out} holds an unfinished run.", "Add --resume to go on with it, or name a new folder.")
        return folder
    return RunFolder.create(
        out,
        RunDocument(
            parents=parents,
            method=recipe.distill.method,
            recipe=recipe,
            classes=document.classes,
            clip=document.clip,
            segments=recipe.distill.segments,
            mean=document.mean,
            std=document.std,
            device=device,
            versions=provenance.versions(),
        ),
    )
