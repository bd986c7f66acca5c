"""Students from their seeds to what they say of held-out videos."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from idtd_cli.method.normalisation import Normalisation, PeerNormalisation
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.recipe import EvaluateConfig, StudentConfig
from idtd_cli.students import registry
from idtd_cli.students.predictions import Predictions, predict
from idtd_cli.students.training import LabelledVideos, fit_together

T = TypeVar("T")


def score(
    protocol: EvaluateConfig,
    seeds: Sequence[int],
    task: registry.Task,
    normalisation: Normalisation,
    trains: Sequence[LabelledVideos],
    segments: int,
    held: LabelledVideos,
    watch: Callable[[int, Tensor], None] | None = None,
) -> list[Predictions]:
    """Train fresh students, at once, as the protocol says; what each says of videos that it never saw.

    Args:
        protocol: the students, how they are trained, and on which views.
        seeds: of each one's weights and of the order that it sees the videos in.
        task: what they are built for.
        normalisation: of the real training clips; the protocol may ask for another.
        trains: what each is trained on.
        segments: K of these videos.
        held: what they are scored on.
        watch: as `fit_together` takes it.
    """
    device = str(held.labels_N.device)
    students = [registry.build(protocol.student, task, seed, device) for seed in seeds]
    augmentation = TemporalAugmentation.of(protocol.augmentation, segments)
    if protocol.normalisation == "peer":
        normalisation = PeerNormalisation(device)
    fit_together(students, trains, normalisation, protocol.fit, augmentation, task.frames, seeds, watch)
    return [
        predict(student, held, normalisation, task.frames, protocol.scoring, seed)
        for student, seed in zip(students, seeds, strict=True)
    ]


def lots(
    student: StudentConfig, numbers: Sequence[int], most: int, train: Callable[[Sequence[int]], Sequence[T]]
) -> Iterator[T]:
    """What comes of students that train lot by lot, those of a lot at once; in their order.

    One after another where several cannot be one network, and fewer from then on when they do not fit into the
    device's memory.

    Args:
        student: which networks they are.
        numbers: of these students.
        most: so many train at once, at most.
        train: trains some at once, as `score` does.

    Raises:
        torch.OutOfMemoryError: not even one fits.
    """
    most = most if student.name in registry.TOGETHER else 1
    while numbers:
        lot, said = numbers[:most], None
        try:
            said = train(lot)
        except torch.OutOfMemoryError:
            if len(lot) == 1:
                raise
        if said is None:  # what was raised held on to the memory until here
            most = len(lot) // 2
        else:
            yield from said
            numbers = numbers[len(lot) :]
