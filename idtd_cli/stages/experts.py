"""`idtd experts`: prepared set → networks trained on all of it, kept as they were at several stages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch
from torch import Tensor

from idtd_cli import provenance, storage
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.experts_folder import Check, ExpertsDocument, ExpertsFolder
from idtd_cli.method import seeds
from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import AugmentationConfig, FitConfig, Recipe, section_digest
from idtd_cli.runlog import Progress, Task
from idtd_cli.stages import clips
from idtd_cli.students import registry
from idtd_cli.students.predictions import top1
from idtd_cli.students.training import LabelledVideos, fit

#: Experts this much worse than a student on all clips (top-1, a share) are said to be undertrained.
_MARGIN = 0.03


def run(prepared: Path, out: Path, recipe: Recipe, device: str, progress: Progress) -> ExpertsFolder:
    """Train experts on the training clips of a prepared set, and compare them with a student on the validation clips.

    Experts that are there, trained on the same set with the same settings, are kept. Test clips are not looked at.

    Args:
        prepared: a prepared set.
        out: folder for the experts, to make or to go on with.
        recipe: `experts` says how they are trained, `distill.network` and `distill.augmentation` what and on which
            views; `evaluate`, how the student is.
        device: "cpu" or "cuda".
        progress: where to report to.

    Raises:
        InputError: a network cannot take the clips, `out` holds something else, or another process is at work on it.
        IdtdError: an expert became non-finite, or one that was trained is damaged.
    """
    with storage.growing_folder(out, progress.note):
        source = PreparedSet.open(prepared)
        clip = source.document.clip
        task = registry.Task(len(source.document.classes), clip.frames, clip.height, clip.width)
        for network in (recipe.distill.network, recipe.evaluate.student):  # one that cannot take these clips stops here
            registry.build(network, task, 0, "cpu")
        folder = _open(source, out, recipe, device)
        if folder.document.finished:
            progress.note(f"{out} already holds these experts: nothing to do.")
            return folder
        storage.sweep(out)
        source.verify(progress)

        school = _School(source, task, recipe, device, progress)
        config = recipe.experts
        with progress.stage("train experts", config.count * config.fit.steps) as bar:
            bar.advance(folder.trained * config.fit.steps)
            while folder.trained < config.count:
                folder.add(school.expert(folder.trained, bar))
        check = school.check(folder) if source.rows("val") else None
        folder.finish(check)
        if check is None:
            progress.note(f"{prepared} has no validation clips: how well the experts do was not looked at.")
        elif check.experts < check.student - _MARGIN:
            progress.note(
                f"The experts are undertrained: their top-1 on the validation clips is {check.experts:.1%}, that of a "
                f"student trained as evaluate.fit says {check.student:.1%}; videos matched to them cannot teach what "
                "they have not learnt, so raise experts.fit.steps or experts.fit.step_size."
            )
        return folder


class _School:
    """The training clips of a prepared set, and how networks are trained on them."""

    def __init__(
        self, source: PreparedSet, task: registry.Task, recipe: Recipe, device: str, progress: Progress
    ) -> None:
        self._source, self._task, self._recipe, self._device, self._progress = source, task, recipe, device, progress
        self._normalisation = Normalisation(source.document.mean, source.document.std, device)
        self._train = self._clips("train")

    def expert(self, number: int, bar: Task) -> dict[str, Tensor]:
        """The snapshots of an expert, in the host's memory: name of a weight → (S, …).

        Raises:
            IdtdError: it became non-finite.
        """
        config, distill, seed = self._recipe.experts, self._recipe.distill, seeds.of_expert(number)
        network = registry.build(distill.network, self._task, seed, self._device)
        weights = network.state_dict()  # these change as the network does
        snapshots = {name: torch.empty(config.snapshots, *w.shape, dtype=w.dtype) for name, w in weights.items()}

        def keep(snapshot: int) -> None:
            for name, weight in weights.items():
                snapshots[name][snapshot] = weight

        def watch(step: int, loss: Tensor) -> None:
            if (step + 1) % config.every == 0:
                keep((step + 1) // config.every)
                bar.advance(config.every, expert=number + 1, loss=loss.item())

        keep(0)
        self._fit(network, config.fit, distill.augmentation, seed, watch)
        if not all(stacked.isfinite().all() for stacked in snapshots.values()):
            raise IdtdError(f"Expert {number + 1} became not finite.", "Lower experts.fit.step_size.")
        return snapshots

    def check(self, folder: ExpertsFolder) -> Check:
        """Score the experts, and a student that is trained for it, on the validation clips."""
        held, evaluate = self._clips("val"), self._recipe.evaluate

        def score(network: Network) -> float:
            return top1(network, held, self._normalisation, self._task.frames)

        scores = []
        network = registry.build(self._recipe.distill.network, self._task, 0, self._device)
        for number in range(folder.trained):
            snapshots = folder.snapshots(number, network.state_dict())
            network.load_state_dict({name: stacked[-1] for name, stacked in snapshots.items()})
            scores.append(score(network))
        student = registry.build(evaluate.student, self._task, 0, self._device)
        self._fit(student, evaluate.fit, evaluate.augmentation, 0)
        return Check(clips=len(held.labels_N), experts=fmean(scores), student=score(student))

    def _clips(self, split: str) -> LabelledVideos:
        return LabelledVideos(*clips.load(self._source, split, self._device, self._progress))

    def _fit(
        self,
        network: Network,
        config: FitConfig,
        augmentation: AugmentationConfig,
        seed: int,
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> None:
        views = TemporalAugmentation.of(augmentation, segments=1)
        fit(network, self._train, self._normalisation, config, views, self._task.frames, seed, watch)


def _open(source: PreparedSet, out: Path, recipe: Recipe, device: str) -> ExpertsFolder:
    """The folder to work in: a new one, the one to go on with, or the finished one."""
    settings = {
        "distill.network": recipe.distill.network,
        "distill.augmentation": recipe.distill.augmentation,
        "experts": recipe.experts,
    }
    digests = {name: section_digest(section) for name, section in settings.items()}
    parents = {
        "prepared": source.document.digest(),
        "experts": storage.sha256_bytes("".join(digests.values()).encode()),
    }
    if storage.is_empty(out):
        document = ExpertsDocument(
            parents=parents,
            network=recipe.distill.network,
            augmentation=recipe.distill.augmentation,
            config=recipe.experts,
            classes=source.document.classes,
            device=device,
            versions=provenance.versions(),
        )
        return ExpertsFolder.create(out, document)
    folder = ExpertsFolder.open(out)
    there = folder.document
    if there.parents.get("prepared") != parents["prepared"]:
        raise InputError(f"{out} holds experts of another prepared set.", "Name a new folder.")
    if there.parents.get("experts") != parents["experts"]:
        before = dict(zip(settings, (there.network, there.augmentation, there.config), strict=True))
        changed = ", ".join(name for name in settings if section_digest(before[name]) != digests[name])
        raise InputError(f"{out} holds experts of other settings ({changed}).", "Name a new folder.")
    return folder
