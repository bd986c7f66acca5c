"""`idtd distill`: prepared set → run. Videos are made by matching, or clips are chosen; this stage feeds and records.

The matching loop itself is in `idtd_cli.method.loop`, the choice of clips in `idtd_cli.baselines.coreset`.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import torch

from idtd_cli import provenance, storage
from idtd_cli.errors import InputError
from idtd_cli.experts_folder import ExpertsFolder
from idtd_cli.method.matching import registry as matchings
from idtd_cli.method.matching.trajectories import Trajectories
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.prepared import PreparedSet
from idtd_cli.ranks import ALONE, Ranks
from idtd_cli.recipe import CHOSEN, DistillConfig, Recipe, section_digest
from idtd_cli.run_folder import FollowedRun, RunDocument, RunFolder, differences
from idtd_cli.runlog import Progress, need_tensorboard
from idtd_cli.stages import clips
from idtd_cli.stages.distill import validate
from idtd_cli.stages.distill.choose import choose
from idtd_cli.stages.distill.job import Job
from idtd_cli.stages.distill.match import match
from idtd_cli.stages.distill.validate import Validation
from idtd_cli.students import registry


def run(
    prepared: Path,
    out: Path,
    recipe: Recipe,
    device: str,
    resume: bool,
    progress: Progress,
    experts: Path | None = None,
    tensorboard: bool = False,
    ranks: Ranks = ALONE,
) -> RunFolder:
    """Distil a prepared set into a run folder; a finished run of the same recipe and set is left as it is.

    Args:
        prepared: a prepared set.
        out: the run folder, to make or (with `resume`) to go on with.
        recipe: its `distill` section is what runs.
        device: "cpu" or "cuda".
        resume: go on from the last checkpoint; a coreset, which has none, starts again.
        progress: where to report to.
        experts: trained networks to look through, in place of fresh ones; trajectory matching needs them.
        tensorboard: write event files for TensorBoard as well, into the run folder.
        ranks: those that share the classes; the first of them alone reads and writes the run folder.

    Raises:
        InputError: the folders or the recipe do not fit together, or another process is at work on the run.
        IdtdError: a loss, the videos or the embeddings became non-finite, or an expert is damaged.
        KeyboardInterrupt: passed on, of matching after a checkpoint was written.
    """
    if tensorboard and recipe.distill.method == "random":
        raise InputError("--tensorboard shows figures of steps, and random clips take none.", "Leave it out.")
    if tensorboard:
        need_tensorboard()
    # Of several ranks the first alone writes.
    with storage.growing_folder(out, progress.note) if ranks.first else nullcontext():
        source = PreparedSet.open(prepared)
        clip = source.document.clip
        task = registry.Task(len(source.document.classes), clip.frames, clip.height, clip.width)
        _check_ranks(ranks, recipe.distill, task.classes)
        ranks.take(device)
        trained = _experts(experts, source, recipe.distill)
        folder = _open(source, out, recipe, task, device, resume, trained, ranks)
        if ranks.any(folder.finished):
            progress.note(f"{out} already holds this run, finished: nothing to do.")
            return folder
        if ranks.first:
            storage.sweep(out)
            source.verify(progress)
        trajectories = _trajectories(trained, recipe.distill, task) if trained else None
        board = folder.tensorboard if ranks.first and tensorboard else None
        job = _job(source, recipe, task, device, trajectories, board, ranks, progress)
        make = choose if recipe.distill.method in CHOSEN else match
        videos_NT3HW, stored = make(job, folder, progress)
        labels_N = torch.arange(task.classes).repeat_interleave(recipe.distill.videos_a_class)
        if not ranks.first or (soft := job.soft_labels(videos_NT3HW.to(device))) is None:
            return folder.finish(videos_NT3HW.cpu(), labels_N, stored.values, stored.parameters)
        parameters = stored.parameters + soft.logits_NKC.numel()
        return folder.finish(videos_NT3HW.cpu(), labels_N, stored.values, parameters, soft.logits_NKC.cpu())


def _job(
    source: PreparedSet,
    recipe: Recipe,
    task: registry.Task,
    device: str,
    trajectories: Trajectories | None,
    board: Path | None,
    ranks: Ranks,
    progress: Progress,
) -> Job:
    """What the run works on: clips on the device, and what scores videos on the way."""
    config = recipe.distill
    sharing = 1 if device.startswith("cuda") else ranks.here  # GPUs are each one's own
    real = RealClips(*clips.load(source, "train", device, progress, sharing), task.classes)
    normalisation = Normalisation(source.document.mean, source.document.std, device)
    validation = None
    if ranks.first and config.validates:
        held = clips.held(source, config.validation_split, recipe.evaluate.scoring, device, progress)
        if config.validation_split == "test":
            progress.note("The result is chosen by its score on the test videos, as the peers do: no honest figure.")
        validation = Validation(recipe, task, normalisation, held)
    if config.precision != "float32":
        progress.note(f"Networks run in {config.precision}; videos and losses stay in float32.")
    return Job(config, task, real, normalisation, device, trajectories, validation, board, ranks)


def _check_ranks(ranks: Ranks, config: DistillConfig, classes: int) -> None:
    """Several ranks share what is a sum over classes, but for a few numbers."""
    if ranks.of == 1:
        return
    if config.method in CHOSEN:
        alone = f"The method {config.method} runs"
    elif config.matching not in matchings.SHARED:
        alone = f"Matching {config.matching} looks at all classes at once and runs"
    elif ranks.of > classes:
        raise InputError(
            f"torchrun started {ranks.of} processes, and there are {classes} classes to share.",
            "Start one a class at most.",
        )
    else:
        return
    raise InputError(f"{alone} in one process; torchrun started {ranks.of}.", "Run `idtd distill` without torchrun.")


def experts_for(config: DistillConfig) -> str | None:
    """What a distillation needs experts for, as the subject of a sentence; None if it needs none."""
    matches = config.method not in CHOSEN
    if matches and config.matching == "mtt":
        return "Trajectory matching needs"
    if matches and config.network_snapshots:
        return "distill.network_snapshots needs"
    return "Soft labels need" if config.soft_labels.teachers else None


def _experts(path: Path | None, source: PreparedSet, config: DistillConfig) -> ExpertsFolder | None:
    """The experts that were named, if they fit the prepared set and the recipe."""
    needs = experts_for(config)
    if path is None:
        if needs:
            raise InputError(
                f"{needs} experts.",
                f"Make some with `idtd experts {source.folder} EXPERTS`, and add --experts EXPERTS.",
            )
        return None
    if not needs:
        raise InputError(
            "The recipe makes no use of experts.",
            "Leave --experts out, or set distill.matching=mtt, distill.network_snapshots or "
            "distill.soft_labels.teachers.",
        )
    folder = ExpertsFolder.open(path)
    there = folder.document
    if not there.finished:
        raise InputError(f"{path} is not finished.", f"Go on with `idtd experts {source.folder} {path}`.")
    if there.parents.get("prepared") != source.document.digest():
        raise InputError(f"{path} holds experts of another prepared set.", "Train experts on this one.")
    if there.network != config.network:
        raise InputError(f"{path} holds experts of another network.", "Set distill.network to theirs, or train others.")
    if config.soft_labels.teachers > folder.trained:
        raise InputError(
            f"{path} holds {folder.trained} experts; distill.soft_labels.teachers asks for "
            f"{config.soft_labels.teachers}.",
            "Lower it, or train more.",
        )
    snapshots, last = there.config.snapshots, config.mtt.latest_start + config.mtt.expert_snapshots
    if config.matching == "mtt" and last >= snapshots:
        raise InputError(
            f"{path} holds {snapshots} snapshots of each expert, the first of them number 0, and distill.mtt asks for "
            f"number {last} (latest_start + expert_snapshots).",
            "Lower one of the two, or train experts with a smaller experts.every.",
        )
    if config.network_snapshots > snapshots:
        raise InputError(
            f"{path} holds {snapshots} snapshots of each expert; distill.network_snapshots asks for "
            f"{config.network_snapshots}.",
            "Lower it.",
        )
    return folder


def _trajectories(folder: ExpertsFolder, config: DistillConfig, task: registry.Task) -> Trajectories:
    network = registry.build(config.network, task, 0, "cpu").state_dict()
    return Trajectories([folder.snapshots(number, network) for number in range(folder.trained)])


def _open(
    source: PreparedSet,
    out: Path,
    recipe: Recipe,
    task: registry.Task,
    device: str,
    resume: bool,
    experts: ExpertsFolder | None,
    ranks: Ranks,
) -> RunFolder:
    """The run folder to work in: a new one, the one to resume, or the finished one."""
    document = source.document
    if recipe.prepare.clip != document.clip:
        raise InputError(
            f"The recipe's clips are not those of {source.folder}: prepare.clip differs.",
            "Prepare the set again with this recipe, or leave --recipe out to take the one it was prepared with.",
        )
    smallest = min(document.counts["train"].items(), key=lambda item: item[1])
    needed = recipe.distill.ipc
    if recipe.distill.method in CHOSEN:
        needed *= recipe.distill.clips_a_video(document.clip.frames)
    if smallest[1] < needed:
        raise InputError(
            f"Class {smallest[0]} has {smallest[1]} training clips; distill.ipc asks for {needed}.",
            "Lower distill.ipc, or prepare more clips.",
        )
    registry.build(recipe.distill.network, task, 0, "cpu")  # a network that cannot take these clips stops here
    parents = {"prepared": document.digest(), "distill": section_digest(recipe.distill)}
    if experts is not None:
        parents["experts"] = experts.document.digest()
    if recipe.distill.validates:
        validate.check(source, recipe, task)
        parents["validation"] = section_digest(validate.protocol(recipe.evaluate))
    new = RunDocument(
        parents=parents,
        method=recipe.distill.method,
        recipe=recipe,
        classes=document.classes,
        clip=document.clip,
        segments=recipe.distill.segments(document.clip.frames),
        mean=document.mean,
        std=document.std,
        device=device,
        versions=provenance.versions(),
    )
    if not ranks.first:
        return FollowedRun(out, new)
    if not storage.is_empty(out):
        folder = RunFolder.open(out)
        if folder.document.parents["prepared"] != parents["prepared"]:
            raise InputError(f"{out} was made from another prepared set.", "Name a new folder.")
        if folder.document.parents.get("experts") != parents.get("experts"):
            raise InputError(f"{out} was made with other experts, or with none.", "Name those, or a new folder.")
        if folder.document.parents != parents:
            sections = ["distill", *(f"evaluate.{part}" for part in validate.PROTOCOL)]
            changed = "; ".join(c for section in sections for c in differences(folder.document.recipe, recipe, section))
            changed = changed or "one of another version of idtd"
            raise InputError(f"{out} was made by another recipe ({changed}).", "Name a new folder.")
        if not folder.finished and not resume:
            raise InputError(f"{out} holds an unfinished run.", "Add --resume to go on with it, or name a new folder.")
        return folder
    return RunFolder.create(out, new)
