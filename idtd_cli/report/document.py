"""report.json: every figure of an evaluation with what is needed to trust it."""

from __future__ import annotations

import statistics
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from idtd_cli.documents import Document
from idtd_cli.recipe import EvaluateConfig, Method, Section

#: How students see a set.
Form = Literal["own", "plain", "lossy"]


class Spread(Section):
    """Figures of several students."""

    mean: float
    std: float = Field(description="sample standard deviation; 0 for one student")
    n: int = Field(ge=1)
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        std = statistics.stdev(values) if len(values) > 1 else 0.0
        return cls(mean=statistics.fmean(values), std=std, n=len(values), values=tuple(values))


class Result(Section):
    """One set, trained on by several students."""

    method: Method | Literal["other", "full"] = Field(
        description="a method of distill.method, other (a set of another tool), random or full"
    )
    set: str | None = Field(
        None, description="what the set is called, with /plain or /videos for these forms; null for random and full"
    )
    seed: int | None = Field(None, description="of the distillation; null where there was none")
    selection: str | None = Field(None, description="distill.selection of it; null where there was none")
    student: str = Field(description="the architecture; `protocol.student` is the one that differences are of")
    ipc: int | None = Field(None, ge=1, description="videos a class; null for the full data")
    frames: int = Field(description="S: frames of a clip as the student sees it")
    segments: int = Field(description="K")
    form: Form = Field(
        "own",
        description="how students saw the set; own: as it is made for; plain: whole videos with classes alone, as if "
        "set.json were not read; lossy: its MP4s for people in place of it",
    )
    soft_labels: bool = Field(False, description="whether students learned from soft labels of the set")
    top1: Spread = Field(description="share of scored videos whose class was found")
    interval: tuple[float, float] = Field(
        description="of top1: what holds 95 % of bootstrap draws of the students and of the videos"
    )
    top5: Spread | None = Field(
        description="share of scored videos whose class was among the five best; null with no more classes than that"
    )
    confusion: tuple[tuple[int, ...], ...] = Field(
        description="videos (views, where each counts by itself) of all students: a row a true class, a column a class "
        "that was found"
    )
    stored_bytes: int
    stored_frames: int
    stored_parameters: int
    seconds: float = Field(description="training and scoring all students")


class Difference(Section):
    """How far apart two results are, student by student with the same seed and video by video."""

    one: str = Field(description="a set, as results call it")
    other: str = Field(description="another one, or random: real clips, of as many bytes")
    ipc: int
    students: int = Field(description="pairs of them")
    top1: float = Field(description="of the first less that of the other, mean")
    interval: tuple[float, float] = Field(description="95 %, as of a result")

    @property
    def is_noise(self) -> bool:
        """Whether there may be no difference at all."""
        return self.interval[0] <= 0 <= self.interval[1]


class ReportDocument(Document):
    """A finished evaluation."""

    KIND: ClassVar[str] = "report"
    FILE: ClassVar[str] = "report.json"
    VERSION: ClassVar[int] = 2
    COMMAND: ClassVar[str] = "idtd evaluate SET... --on PREPARED --out OUT"
    SEALED: ClassVar[bool] = True

    source: str = Field(description="name of the data that the prepared set was made from")
    classes: tuple[str, ...]
    chance: float
    scored_split: str
    scored_videos: int = Field(ge=1)
    protocol: EvaluateConfig
    results: tuple[Result, ...]
    differences: tuple[Difference, ...] = Field(
        description="of each set from random clips at its size, and from each other set of that size if these are few; "
        "of each other form of a set from the set"
    )
    hardware: str
    versions: dict[str, str]

    @model_validator(mode="after")
    def _holds_together(self) -> ReportDocument:
        count = len(self.classes)
        for result in self.results:
            if [len(row) for row in result.confusion] != [count] * count:
                raise ValueError(f"the confusion of {result.method} is not of the {count} classes")
        students = (self.protocol.student.name, *self.protocol.across)
        of = {student: {_trained_on(r) for r in self.results if r.student == student} for student in students}
        if not of[students[0]]:
            raise ValueError(f"there is no result of the student {students[0]}")
        for student in students:
            if not of[students[0]] <= of[student]:
                raise ValueError(f"the student {student} was not trained on all that {students[0]} was")
        known = {(r.set or r.method, r.ipc) for r in self.results if r.student == students[0]}
        for pair in self.differences:
            if not {(pair.one, pair.ipc), (pair.other, pair.ipc)} <= known:
                raise ValueError(f"a difference is of {pair.one} from {pair.other}, which are not both results")
        return self


def _trained_on(result: Result) -> tuple[object, ...]:
    return result.method, result.set, result.form, result.ipc, result.selection, result.soft_labels
