"""The students of an evaluation: each from its seed to what it says, in this process or in others."""

from __future__ import annotations

import functools
import platform
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

import torch
from torch import Tensor

from idtd_cli import provenance
from idtd_cli.engines import registry as engines
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import EvaluateConfig, StudentConfig
from idtd_cli.runlog import Progress, Quiet, Task
from idtd_cli.stages import clips
from idtd_cli.stages.evaluate import trained_on
from idtd_cli.stages.evaluate.other_sets import OtherSet
from idtd_cli.stages.evaluate.trained_on import Distilled
from idtd_cli.students import registry, scoring
from idtd_cli.students.predictions import Predictions


@dataclass(frozen=True)
class Student:
    """Which one: the numbers of its architecture and of what it is trained on, and its seed."""

    architecture: int
    thing: int
    seed: int


@dataclass(frozen=True)
class Said:
    """What a student said, as `Predictions` of plain numbers, which go from process to process and into a file."""

    seconds: float
    hardware: str
    found: list[list[int]]
    place: list[list[int]]

    @property
    def predictions(self) -> Predictions:
        return Predictions(torch.tensor(self.found), torch.tensor(self.place))


@dataclass(frozen=True)
class Inputs:
    """All that decides what students say but for their seeds; small enough to go to where they are trained.

    Attributes:
        name: two inputs of the same name are the same.
        digests: of the real clips and of the sets, as they must be where they are read.
        sets: those that are compared. Of ours their folders are what goes, and these are read there.
        prepared: the folder of the real clips, which is read there too.
        config: the protocol.
        device: "cpu" or "cuda".
        threads: that a student computes with. The same everywhere: how a sum is shared out decides its last digits.
        sharing: processes that hold the clips in the same memory.
    """

    name: str
    digests: tuple[str, ...] = field(compare=False)
    sets: tuple[Distilled | OtherSet, ...] = field(compare=False)
    prepared: Path = field(compare=False)
    config: EvaluateConfig = field(compare=False)
    device: str = field(compare=False)
    threads: int = field(compare=False)
    sharing: int = field(compare=False)


def need_fitting(config: EvaluateConfig, source: PreparedSet) -> None:
    """
    Raises:
        InputError: a student cannot take these clips, or there are none that could be scored as the protocol says.
    """
    clip, classes = source.document.clip, len(source.document.classes)
    task = registry.Task(classes, clip.frames, clip.height, clip.width)
    for architecture in _architectures(config):
        registry.build(architecture, task, 0, "cpu")  # one that cannot take these clips stops here
    clips.need_scorable(source, config.scoring)
    if not source.rows(_split(config)):
        raise InputError(
            f"{source.folder} has no {config.split} clips.", "Prepare it with prepare.split.validation above 0."
        )


def need_room(config: EvaluateConfig, device: str) -> None:
    """
    Raises:
        InputError: students cannot be trained where the recipe says.
    """
    if apart(config):
        engines.need_room(config, torch.get_num_threads(), _gpus(device))


def _gpus(device: str) -> int:
    return torch.cuda.device_count() if device.startswith("cuda") else 0


def _architectures(config: EvaluateConfig) -> list[StudentConfig]:
    return [config.student.model_copy(update={"name": name}) for name in (config.student.name, *config.across)]


def _split(config: EvaluateConfig) -> str:
    """Of the prepared set."""
    return "val" if config.split == "validation" else "test"


class Bench:
    """The same, open: clips for the device, and everything that students are trained on.

    Raises:
        IdtdError: the clips or a set are others here.
    """

    def __init__(self, inputs: Inputs, progress: Progress) -> None:
        self.inputs = inputs
        config, device, source = inputs.config, inputs.device, PreparedSet.open(inputs.prepared)
        if (source.document.digest(), *(one.digest for one in inputs.sets)) != inputs.digests:
            raise IdtdError(
                f"{inputs.prepared} or a set on {platform.node()} is not the one that is evaluated.",
                "Give every machine the same files under the same paths.",
            )
        clip, classes = source.document.clip, len(source.document.classes)
        self._normalisation = Normalisation(source.document.mean, source.document.std, device)
        self._task = registry.Task(classes, clip.frames, clip.height, clip.width)
        #: one for each architecture
        self.protocols = [config.model_copy(update={"student": each, "across": ()}) for each in _architectures(config)]
        self.real = RealClips(*clips.load(source, "train", device, progress, inputs.sharing), classes)
        sets = [one.on(device) if isinstance(one, OtherSet) else one for one in inputs.sets]
        self.things = trained_on.every(sets, self.real, source, config, device)
        self.held = clips.held(source, _split(config), config.scoring, device, progress, inputs.sharing)

    def students(self) -> Iterator[Student]:
        """All of them, in the order of the report."""
        for architecture in range(len(self.protocols)):
            for number, thing in enumerate(self.things):
                yield from (Student(architecture, number, seed) for seed in range(thing.students))

    def updates(self, student: Student) -> int:
        """How many a student takes."""
        return self.inputs.config.fit.updates(self.things[student.thing].pieces)

    def facts(self, lot: Sequence[Student]) -> dict[str, str]:
        """What to call students that train at once beside the bar."""
        thing = self.things[lot[0].thing]
        called = ", ".join(str(student.seed + 1) for student in lot)
        facts = {"trained_on": thing.set or thing.method, "student": f"{called} of {thing.students}"}
        if len(self.protocols) > 1:
            facts["architecture"] = self.protocols[lot[0].architecture].student.name
        return facts

    def train(self, lot: Sequence[Student], watch: Callable[[int, Tensor], None] | None = None) -> list[Said]:
        """Train students of one architecture and thing at once, each from its seed, and ask them; `watch` as
        `training.fit_together` takes it.
        """
        began, thing, seeds = time.perf_counter(), self.things[lot[0].thing], [student.seed for student in lot]
        protocol, videos = self.protocols[lot[0].architecture], thing.videos_of(seeds)
        found = scoring.score(
            protocol, seeds, self._task, self._normalisation, videos, thing.segments, self.held, watch
        )
        seconds, hardware = (time.perf_counter() - began) / len(lot), provenance.hardware(self.inputs.device)
        hardware += f", {len(lot)} students at once" if len(lot) > 1 else ""
        return [Said(seconds, hardware, one.found_VN.tolist(), one.place_VN.tolist()) for one in found]


def apart(config: EvaluateConfig) -> bool:
    """Whether students are trained by other processes than this one."""
    return config.engine != "local" or config.workers > 1


def sharing(config: EvaluateConfig, device: str) -> int:
    """How many processes hold the clips in the same memory, if students are trained where a recipe says."""
    if not apart(config):
        return 1
    if config.engine == "ray":  # a node runs as many tasks as it has room for, and a GPU one
        return 1 + (1 if device.startswith("cuda") else max(1, provenance.cores() // torch.get_num_threads()))
    return 1 + -(-config.workers // (_gpus(device) or 1))


def remarks(config: EvaluateConfig, threads: int) -> Iterator[str]:
    """What to say of how students will be trained, if it is not as one would think; `threads` are those of each."""
    if config.together > 1 and apart(config):
        yield "Each student is trained by a process of its own: evaluate.together is passed over."
    elif config.together > 1:
        for name in (config.student.name, *config.across):
            if name not in registry.TOGETHER:
                yield f"{name} students train one after another: several cannot be one network."
    cores = provenance.cores()
    if config.engine == "local" and config.workers > 1 and threads > 1 and config.workers * threads > cores:
        yield (
            f"{config.workers} students at a time with {threads} threads each, on {cores} cores, hinder each other: "
            f"OMP_NUM_THREADS={max(1, cores // config.workers)} gives each its own."
        )


def said(
    bench: Bench, students: Sequence[Student], config: EvaluateConfig, bar: Task
) -> Generator[tuple[Student, Said], None, None]:
    """What students say, each trained where a recipe says, as soon as it is known: elsewhere, in any order.

    The bar moves with each update; with each student, where they are trained elsewhere, one by each process.
    """
    if not apart(config):
        for (architecture, thing), some in groupby(students, lambda student: (student.architecture, student.thing)):

            def train(seeds: Sequence[int], architecture: int = architecture, thing: int = thing) -> list[Said]:
                lot = [Student(architecture, thing, seed) for seed in seeds]
                return bench.train(lot, partial(_advance, bar, len(lot), bench.facts(lot)))

            here = list(some)
            seeds = [student.seed for student in here]
            lots = scoring.lots(bench.protocols[architecture].student, seeds, config.together, train)
            yield from zip(here, lots, strict=True)
        return
    job, threads, gpus = partial(_train, bench.inputs), bench.inputs.threads, _gpus(bench.inputs.device)
    with closing(engines.compute(job, students, config, threads, gpus)) as results:
        for number, result in results:
            yield students[number], result
            bar.advance(bench.updates(students[number]), **bench.facts([students[number]]))


def _advance(bar: Task, students: int, facts: dict[str, str], _step: int, _loss: Tensor) -> None:
    """One update of some students is done. The loss is not looked at: that would wait for the GPU."""
    bar.advance(students, **facts)


def _train(inputs: Inputs, student: Student) -> Said:
    """In another process."""
    torch.set_num_threads(inputs.threads)
    [said] = _bench(inputs).train([student])
    return said


@functools.lru_cache(maxsize=1)
def _bench(inputs: Inputs) -> Bench:
    """Opened once by a process, and kept for its next students."""
    return Bench(inputs, Quiet())
