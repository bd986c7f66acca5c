"""A student from its seed to what it says of held-out videos."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from idtd_cli.method.normalisation import Normalisation, PeerNormalisation
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.recipe import EvaluateConfig
from idtd_cli.students import registry
from idtd_cli.students.predictions import Predictions, predict
from idtd_cli.students.training import LabelledVideos, fit


def score(
    protocol: EvaluateConfig,
    seed: int,
    task: registry.Task,
    normalisation: Normalisation,
    train: LabelledVideos,
    segments: int,
    held: LabelledVideos,
    watch: Callable[[int, Tensor], None] | None = None,
) -> Predictions:
    """Train a fresh student as the protocol says; what it says of videos that it never saw.

    Args:
        protocol: the student, how it is trained, and on which views.
        seed: of its weights and of the order that it sees the videos in.
        task: what it is built for.
        normalisation: of the real training clips; the protocol may ask for another.
        train: what it is trained on.
        segments: K of these videos.
        held: what it is scored on.
        watch: as `fit` takes it.
    """
    student = registry.build(protocol.student, task, seed, str(train.labels_N.device))
    augmentation = TemporalAugmentation.of(protocol.augmentation, segments)
    if protocol.normalisation == "peer":
        normalisation = PeerNormalisation(str(train.labels_N.device))
    fit(student, train, normalisation, protocol.fit, augmentation, task.frames, seed, watch)
    return predict(student, held, normalisation, task.frames, protocol.scoring, seed)
