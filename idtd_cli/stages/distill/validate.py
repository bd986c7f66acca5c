"""Videos that are scored while they are made: on the validation split, or on test by the peers' rule, by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from idtd_cli.errors import InputError
from idtd_cli.method import seeds
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.soft_labels import SoftLabels
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import EvaluateConfig, Recipe
from idtd_cli.students import registry
from idtd_cli.students.predictions import Predictions
from idtd_cli.students.scoring import lots, score
from idtd_cli.students.training import LabelledVideos

#: The parts of a recipe's `evaluate` section that say how a student of a validation is made and trained.
PROTOCOL = ("student", "fit", "normalisation", "augmentation", "scoring", "soft_labels")


#: A split of a prepared set → as recipes call it.
WORDS = {"val": "validation", "test": "test"}


def protocol(config: EvaluateConfig) -> EvaluateConfig:
    """These parts, and nothing else that is not as always."""
    return EvaluateConfig.model_validate({part: getattr(config, part) for part in PROTOCOL})


def check(source: PreparedSet, recipe: Recipe, task: registry.Task) -> None:
    """
    Raises:
        InputError: there is nothing to validate on, or no student that can take such clips.
    """
    if not source.rows(recipe.distill.validation_split):
        split = WORDS[recipe.distill.validation_split]
        raise InputError(
            f"distill.validate_every needs {split} clips, and {source.folder} has none.",
            f"Prepare it with prepare.split.{split} above 0, or leave distill.validate_every at 0.",
        )
    registry.build(recipe.evaluate.student, task, 0, "cpu")


@dataclass(frozen=True)
class Validation:
    """Fresh students, and the videos that they are scored on, in the device's memory."""

    recipe: Recipe
    task: registry.Task
    normalisation: Normalisation
    held: LabelledVideos

    def score(
        self, videos_NT3HW: Tensor, segments: int, soft: SoftLabels | None, watch: Callable[[int, Tensor], None]
    ) -> float:
        """Mean top-1 of the students that train on these videos, uint8 and in class order, of K segments."""
        config, classes = self.recipe.distill, self.task.classes
        labels_N = torch.arange(classes, device=videos_NT3HW.device).repeat_interleave(len(videos_NT3HW) // classes)
        train = LabelledVideos(videos_NT3HW, labels_N, soft if self.recipe.evaluate.soft_labels else None)

        students = [seeds.of_validation(config.seed, number) for number in range(config.validate_students)]
        protocol, task = self.recipe.evaluate, self.task

        def some(lot: Sequence[int]) -> list[Predictions]:
            return score(protocol, lot, task, self.normalisation, [train] * len(lot), segments, self.held, watch)

        return fmean(one.top(1) for one in lots(protocol.student, students, protocol.together, some))
