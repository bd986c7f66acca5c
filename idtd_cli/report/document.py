"""report.json: every figure of an evaluation with what is needed to trust it."""

from __future__ import annotations

import statistics
from typing import ClassVar

from pydantic import Field

from idtd_cli.documents import Document
from idtd_cli.recipe import EvaluateConfig, Section


class Spread(Section):
    """Figures of several students."""

    mean: float
    std: float = Field(description="sample standard deviation; 0 for one student")
    n: int
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        std = statistics.stdev(values) if len(values) > 1 else 0.0
        return cls(mean=statistics.fmean(values), std=std, n=len(values), values=tuple(values))


class Result(Section):
    """One set, trained on by several students."""

    method: str = Field(description="a method of distill.method, random or full")
    set: str | None = Field(None, description="folder name of the set; null for random and full")
    seed: int | None = Field(None, description="of the distillation; null for random and full")
    student: str
    ipc: int | None = Field(None, description="videos a class; null for the full data")
    frames: int = Field(description="T: frames of a clip as the student sees it")
    segments: int = Field(description="K")
    soft_labels: bool = Field(False, description="whether students learned from soft labels of the set")
    top1: Spread = Field(description="share of scored videos whose class was found")
    stored_bytes: int
    stored_frames: int
    stored_parameters: int
    seconds: float = Field(description="training and scoring all students")


class ReportDocument(Document):
    """A finished evaluation."""

    KIND: ClassVar[str] = "report"
    FILE: ClassVar[str] = "report.json"
    COMMAND: ClassVar[str] = "idtd evaluate SET... --on PREPARED --out OUT"

    source: str = Field(description="name of the data that the prepared set was made from")
    classes: tuple[str, ...]
    chance: float
    scored_split: str
    scored_videos: int
    protocol: EvaluateConfig
    results: tuple[Result, ...]
    hardware: str
    versions: dict[str, str]
