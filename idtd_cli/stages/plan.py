"""`idtd plan`: what a recipe will take on this machine, from a few real steps of it."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from idtd_cli import provenance
from idtd_cli.baselines.random_clips import random_clips
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.prepared import CHECK, PreparedSet
from idtd_cli.recipe import CHOSEN, DistillConfig, Recipe
from idtd_cli.report.plan import Plan
from idtd_cli.run_folder import RunFolder
from idtd_cli.runlog import Progress, Task
from idtd_cli.stages import clips, distill
from idtd_cli.stages.distill.losses import LOOK_EVERY
from idtd_cli.students import registry
from idtd_cli.students.predictions import top1
from idtd_cli.students.training import LabelledVideos, fit

#: Steps of the probe: those before the first look warm the device up, those before the second are measured.
_STEPS = 2 * LOOK_EVERY
#: Updates of a student, and clips that it scores.
_UPDATES, _SCORED = 6, 128


def run(recipe: Recipe, prepared: Path, device: str, progress: Progress, experts: Path | None = None) -> Plan:
    """Distil for some steps in a temporary folder, train students for some updates, and reckon from that.

    The students see training clips alone; no other split is opened.

    Args:
        recipe: what to do; its `distill.method` is planned.
        prepared: a prepared set.
        device: "cpu" or "cuda".
        progress: where to report to.
        experts: as `idtd distill` takes them.

    Raises:
        InputError: the recipe and the prepared set do not fit together.
        IdtdError: the first steps fail already.
    """
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    config, protocol, source = recipe.distill, recipe.evaluate, PreparedSet.open(prepared)
    steps, probe = _probe(config)
    clock = _Clock(progress)
    with tempfile.TemporaryDirectory(prefix="idtd-plan-") as temporary:
        began = time.perf_counter()
        few = recipe.model_copy(update={"distill": probe})
        folder = distill.run(prepared, Path(temporary) / "run", few, device, False, clock, experts)
        took = time.perf_counter() - began
        run_bytes = _run_bytes(config, steps, folder)
        made = folder.result()[:2]
    students = _Students(recipe, source, made, device, progress)

    counts = {split: sum(of_class.values()) for split, of_class in source.document.counts.items()}
    scored = counts["val" if protocol.split == "validation" else "test"]
    plain = protocol.plain and (config.segments(source.document.clip.frames) > 1 or bool(config.soft_labels.teachers))
    architectures = 1 + len(protocol.across)  # each reckoned as the recipe's student
    counted = (protocol.students * (1 + plain + protocol.lossy), protocol.students, protocol.full_students)
    entries = (counted[0] * architectures, counted[1] * architectures, counted[2] * architectures)
    validations = len(_due(config.validate_every, steps)) if config.validates else 0
    validation = students.seconds(0, counts[config.validation_split])
    return Plan(
        hardware=provenance.hardware(device),
        method=config.method,
        steps=steps,
        start_seconds=took - clock.done * clock.step_seconds,
        step_seconds=clock.step_seconds,
        distil_seconds=took + (steps - clock.done) * clock.step_seconds,
        validation_seconds=validations * config.validate_students * validation,
        students=entries,
        evaluation_seconds=sum(count * students.seconds(entry, scored) for entry, count in enumerate(entries)),
        memory_bytes=_peak_memory(),
        device_memory_bytes=torch.cuda.max_memory_allocated() if device.startswith("cuda") else None,
        run_bytes=run_bytes,
        stored_bytes=folder.document.stored_values + 4 * folder.document.stored_parameters,
    )


def _probe(config: DistillConfig) -> tuple[int, DistillConfig]:
    """The steps of a run, and what of it is run: shorter, and with its one checkpoint before the last step."""
    if config.method == "random":
        return 0, config
    if config.method in CHOSEN:
        whole = config.coreset.fit
        part = whole.model_copy(update={"steps": min(_STEPS, whole.steps)})
        return whole.steps, config.model_copy(update={"coreset": config.coreset.model_copy(update={"fit": part})})
    steps = min(_STEPS, max(1, config.steps))
    changes = {
        "steps": steps,
        "network_steps": min(LOOK_EVERY, config.network_steps),  # a network is drawn among the steps that count
        "checkpoint_every": max(1, steps - 1),
        "validate_every": 0,
        "selection": "last",
        "preview_every": steps if config.preview_every else 0,
    }
    return config.steps, config.model_copy(update=changes)


def _due(every: int, steps: int) -> set[int]:
    """The steps after which a run does what it does every so many steps, from before the first to after the last."""
    return {*range(0, steps, every), steps} if every else set()


def _run_bytes(config: DistillConfig, steps: int, folder: RunFolder) -> int:
    """What a whole run leaves on disk, from what the probe left."""
    checkpoints, previews = folder.path / "checkpoints", folder.path / "previews"

    def sizes(place: Path) -> list[int]:
        return [path.stat().st_size for path in place.rglob("*") if path.is_file()]

    lines = folder.metrics.read_bytes() if folder.metrics.is_file() else b""
    kept = min(2, (steps - 1) // config.checkpoint_every) + (config.validate_every > 0)
    growing = kept * max(sizes(checkpoints), default=0)
    growing += len(_due(config.preview_every, steps)) * max(sizes(previews), default=0)
    growing += len(lines) * steps // max(1, lines.count(b"\n"))
    return growing + sum(sizes(folder.path)) - sum([*sizes(checkpoints), *sizes(previews), len(lines)])


class _Clock:
    """A progress that passes on what it is told, and remembers when."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.done = 0
        self._looks: list[tuple[int, float]] = []

    @contextmanager
    def stage(self, name: str, total: int | None, done: int = 0) -> Iterator[Task]:
        if name == CHECK:  # no steps
            with self._progress.stage(name, total, done) as task:
                yield task
            return
        with self._progress.stage(f"{name}, the first steps", total, done) as self._task:
            self._looks = [(0, time.perf_counter())]
            yield self

    def note(self, text: str) -> None:
        self._progress.note(text)

    def advance(self, n: int = 1, **facts: object) -> None:
        self.done += n
        self._looks.append((self.done, time.perf_counter()))
        self._task.advance(n, **facts)

    @property
    def step_seconds(self) -> float:
        """Of a step between the first and the second look, or before the first if that is all; 0 without."""
        if len(self._looks) < 2:
            return 0.0
        (before, began), (after, ended) = list(pairwise(self._looks))[:2][-1]
        return (ended - began) / (after - before)


class _Students:
    """How long students take: on the set (entry 0), on random real clips (1), on all of them (2)."""

    def __init__(
        self, recipe: Recipe, source: PreparedSet, made: tuple[Tensor, ...], device: str, progress: Progress
    ) -> None:
        config, clip, classes = recipe.distill, source.document.clip, len(source.document.classes)
        self._protocol, self._device = recipe.evaluate, device
        self._task = registry.Task(classes, clip.frames, clip.height, clip.width)
        self._normalisation = Normalisation(source.document.mean, source.document.std, device)
        real = RealClips(*clips.load(source, "train", device, progress), classes)
        each = config.ipc * config.clips_a_video(clip.frames)
        some = random_clips(real, each, clip.frames, torch.Generator(device).manual_seed(0))
        labels_N = torch.arange(classes, device=device).repeat_interleave(each)
        every = LabelledVideos(real.videos_NF3HW, real.labels_N)
        entries = [
            (LabelledVideos(made[0].to(device), made[1].to(device)), config.segments(clip.frames)),
            (LabelledVideos(some, labels_N), 1),
            (every, 1),
        ]
        views = recipe.evaluate.augmentation
        self._pieces = [len(v.labels_N) * TemporalAugmentation.of(views, segments).segments for v, segments in entries]
        with progress.stage("students, the first updates", len(entries)) as bar:
            self._update_seconds = []
            for videos, segments in entries:
                self._update_seconds.append(self._of_update(videos, segments))
                bar.advance()
        self._score_seconds = self._of_score(some, labels_N)

    def seconds(self, entry: int, scored: int) -> float:
        """Of one student that trains on an entry and scores so many clips."""
        updates = self._protocol.fit.updates(self._pieces[entry])
        scored *= self._protocol.scoring.views
        return updates * self._update_seconds[entry] + scored * self._score_seconds

    def _of_update(self, videos: LabelledVideos, segments: int) -> float:
        student = registry.build(self._protocol.student, self._task, 0, self._device)
        augmentation = TemporalAugmentation.of(self._protocol.augmentation, segments)
        few = self._protocol.fit.model_copy(update={"steps": _UPDATES, "epochs": None})
        times: list[float] = []

        def watch(_: int, loss: Tensor) -> None:
            loss.item()  # the device is done
            times.append(time.perf_counter())

        fit(student, videos, self._normalisation, few, augmentation, self._task.frames, 0, watch)
        return median(after - before for before, after in pairwise(times))

    def _of_score(self, videos_NT3HW: Tensor, labels_N: Tensor) -> float:
        """Of a clip, once the device is warm."""
        student = registry.build(self._protocol.student, self._task, 0, self._device)
        repeated_N = torch.arange(_SCORED, device=self._device) % len(labels_N)
        many = LabelledVideos(videos_NT3HW[repeated_N], labels_N[repeated_N])
        top1(student, many, self._normalisation, self._task.frames)
        began = time.perf_counter()
        top1(student, many, self._normalisation, self._task.frames)
        return (time.perf_counter() - began) / _SCORED


def _peak_memory() -> int:
    """The most that this process ever held in the host's memory, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10  # macOS counts bytes, Linux KiB
