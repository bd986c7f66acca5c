"""`evaluate`: how students are trained on a set, and scored."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from idtd_cli.recipe.networks import AugmentationConfig, FitConfig, StudentConfig, StudentName
from idtd_cli.recipe.prepare import ClipConfig
from idtd_cli.recipe.section import Section, Whole


class StudentFitConfig(FitConfig):
    """How a student is trained: as any network, or for a number of passes, as the peers do."""

    epochs: int | None = Field(
        None,
        ge=1,
        description="passes over all of a set, in place of `steps`: a larger set gets more updates then, and the full "
        "data by far the most",
    )

    def updates(self, pieces: int) -> int:
        return self.steps if self.epochs is None else self.epochs * math.ceil(pieces / self.batch)

    @property
    def shows_all(self) -> bool:
        return self.epochs is not None


class ScoringConfig(Section):
    """How a trained student is asked for the class of a held-out video."""

    views: int = Field(
        1,
        ge=1,
        le=100,
        description="temporal views of each video: windows at equal distances, or the video's `prepare.clip.draws`",
    )
    span: float = Field(1.0, gt=0, le=1, description="share of the video that a view shows; 1: all of it, so one view")
    combine: Literal["scores", "accuracy"] = Field(
        "scores",
        description="scores: the class with the highest mean probability over the views; accuracy: each view is right "
        "or wrong by itself, and counts as its share of the video",
    )
    flip: bool = Field(False, description="each view is flipped at random, as the peers do")


class EvaluateConfig(Section):
    """`idtd evaluate`."""

    students: int = Field(5, ge=1, description="students trained on each set; `--seeds` sets it")
    full_students: int = Field(2, ge=0, description="students trained on the full data; 0 leaves it out")
    split: Literal["test", "validation"] = Field("test", description="what is scored; tune on validation alone")
    student: StudentConfig = StudentConfig()
    across: tuple[StudentName, ...] = Field(
        (), description="further architectures that are trained on each set, the same way; `--students` sets it"
    )
    fit: StudentFitConfig = StudentFitConfig()
    normalisation: Literal["data", "peer"] = Field(
        "data",
        description="data: by mean and deviation of the training clips, per channel; peer: by ImageNet's, and then "
        "each batch, of scored clips as well, by its own mean and deviation over all channels",
    )
    augmentation: AugmentationConfig = AugmentationConfig()
    plain: bool = Field(
        False,
        description="a set of videos in segments is also trained on as whole videos, as if set.json were not read",
    )
    scoring: ScoringConfig = ScoringConfig()
    soft_labels: bool = Field(
        True, description="students learn from the soft labels of a set that has some; false: from classes alone"
    )
    lossy: bool = Field(
        False, description="train as many students on the MP4s for people of each set, to say what these cost"
    )
    # Left out of what is stored: no result depends on where and beside how many others
    # a student is trained, but for rounding.
    engine: Literal["local", "ray"] = Field(
        "local",
        exclude=True,
        description="where students are trained. local: on this machine; ray: on a Ray cluster (extra `ray`); "
        "`--engine` sets it",
    )
    workers: int = Field(
        0,
        ge=0,
        exclude=True,
        description="students that are trained at a time, each by a process of its own; 0: one here, in this process, "
        "and on a Ray cluster as many as there is room for; `--workers` sets it",
    )
    together: Whole = Field(
        1,
        exclude=True,
        description="students of a set that a process trains at once, as one network, at most: the same scores but "
        "for rounding",
    )

    @model_validator(mode="after")
    def _fits_the_student(self) -> EvaluateConfig:
        if self.student.name in self.across or len(set(self.across)) < len(self.across):
            raise ValueError(f"across names an architecture twice: {', '.join((self.student.name, *self.across))}")
        return self

    def without_machine(self) -> EvaluateConfig:
        """The section without what is no part of a result: where, and how many at a time, students are trained."""
        return EvaluateConfig.model_validate(self.model_dump())


def scoring_problem(scoring: ScoringConfig, clip: ClipConfig) -> str | None:
    """Why videos that are stored like this cannot be scored like that, or None."""
    if clip.draws > 1 and scoring.views > clip.draws:
        return f"evaluate.scoring.views ({scoring.views}) is above the draws of a video ({clip.draws})"
    if clip.draws > 1 and scoring.span < 1:
        return "evaluate.scoring.span below 1 does not go with several draws of a video"
    if clip.draws == 1 and scoring.views > 1 and scoring.span == 1:
        return f"{scoring.views} evaluate.scoring.views of all of a video are the same: lower evaluate.scoring.span"
    return None
