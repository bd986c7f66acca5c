"""Recipes: everything that decides a result, in one YAML file that is stored with what it made.

Each section is the small config of one part of the program, which receives that section and never the whole recipe.
Overrides come as `a.b=value`, the value in YAML. A file may name another as its `base` and say only what is different;
what is loaded, and stored with results, is complete.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from idtd_cli import storage
from idtd_cli.errors import InputError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Whole = Annotated[int, Field(ge=1)]
_MOST_CELLS, _MOST_DISTILLATIONS = 1000, 10_000
_SUFFIXES = (".yaml", ".yml")
#: What a recipe never has of its base.
_OWN = ("name", "description", "cost", "grid", "expect")
Method = Literal["idtd", "pixel", "static-dynamic", "random", "herding", "k-center"]
#: Methods whose videos are real clips, chosen and not made.
CHOSEN: frozenset[Method] = frozenset(("random", "herding", "k-center"))
Selection = Literal["last", "best-on-validation", "peer-best-of-test"]
FigureName = Literal["redundancy", "temporal", "qualitative"]
StudentName = Literal["convnet3d", "cnn-gru", "cnn-lstm", "r3d-18", "r2plus1d-18", "transformer"]


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ClipConfig(Section):
    """What a stored clip is: how many frames of a video, and how large."""

    frames: int = Field(16, ge=1, description="T: frames of a clip as a network sees it")
    stored_frames: int = Field(32, ge=1, description="frames stored of each video, so that temporal views can be drawn")
    height: int = Field(112, ge=4, description="pixels")
    width: int = Field(112, ge=4, description="pixels")
    sampling: Literal["uniform", "strided"] = Field(
        "uniform",
        description="uniform: stored frames cover the whole video; strided: every `stride`-th frame from a start that "
        "is drawn once (a short video lowers the stride)",
    )
    stride: int = Field(4, ge=1, description="frames between two stored frames, with `sampling: strided`")
    draws: int = Field(
        1,
        ge=1,
        description="clips that are stored of each video, one after another and each from a start of its own, with "
        "`sampling: strided`; networks train on the first, and `evaluate.scoring` may look at all",
    )
    resize: Literal["crop", "stretch"] = Field(
        "crop", description="crop: short side to size, then the centre; stretch: the whole frame, ratio not kept"
    )
    min_frames: int = Field(8, ge=1, description="a video with fewer frames is rejected")

    @model_validator(mode="after")
    def _dense(self) -> ClipConfig:
        if self.stored_frames < self.frames:
            raise ValueError(f"stored_frames ({self.stored_frames}) is below frames ({self.frames})")
        if self.draws > 1 and self.sampling != "strided":
            raise ValueError(f"draws ({self.draws}) above 1 needs sampling strided")
        if self.draws > 1 and self.stored_frames != self.draws * self.frames:
            raise ValueError(f"stored_frames ({self.stored_frames}) is not draws ({self.draws}) x frames")
        return self

    @property
    def drawn_frames(self) -> int:
        """F of one draw: what is stored of a training clip, as everything but the scoring sees it."""
        return self.stored_frames // self.draws


class SplitConfig(Section):
    """How a source without lists is split, and how validation clips are held out of train. Groups never cross."""

    validation: Share = Field(0.15, description="share of each class's training clips held out for validation")
    test: Share = Field(0.25, description="share of each class for test, where the source does not say")
    fold: int = Field(1, ge=1, description="which of a source's official splits (ucf101 and hmdb51 have 1 to 3)")
    seed: int = Field(0, ge=0, description="the same seed and source give the same split")


class DecodeConfig(Section):
    """How videos are decoded: each in a worker process with limits, so that a bad file costs itself alone."""

    decoder: Literal["pyav", "decord"] = Field("pyav", description="both read in order; decord has no arm64 wheel")
    engine: Literal["local", "ray"] = Field(
        "local", description="local: processes on this machine; ray: a Ray cluster (extra `ray`); `--engine` sets it"
    )
    workers: int = Field(0, ge=0, description="processes; 0 takes one a core; `--workers` sets it")
    seconds: float = Field(60, gt=0, description="time limit for one file")
    memory_mb: int = Field(2048, ge=256, description="memory limit of a worker, MiB")


class PrepareConfig(Section):
    """`idtd prepare`."""

    clip: ClipConfig = ClipConfig()
    split: SplitConfig = SplitConfig()
    decode: DecodeConfig = DecodeConfig()
    limit: int = Field(0, ge=0, description="videos of each class and split, for a trial; 0: all; `--limit` sets it")


class StudentConfig(Section):
    """A network: the student of an evaluation, or the random networks of a matching loss."""

    name: StudentName = Field(
        "convnet3d",
        description="which; widths, kernel, strides and norm are of convnet3d, cnn-gru and cnn-lstm, and the others "
        "have a fixed form",
    )
    widths: tuple[Whole, ...] = Field((64, 128, 128), min_length=1, description="channels of each block")
    kernel: tuple[Whole, Whole, Whole] = Field((3, 7, 7), description="time, height, width")
    strides: tuple[Whole, ...] = Field((2, 2, 2), description="spatial stride of each block's convolution")
    norm: Literal["none", "group"] = Field("none", description="none is the peers'; group learns motion far sooner")
    dropout: float = Field(0.5, ge=0, lt=1, description="before the last layer")

    @model_validator(mode="after")
    def _same_depth(self) -> StudentConfig:
        if len(self.widths) != len(self.strides):
            raise ValueError(f"widths has {len(self.widths)} blocks, strides {len(self.strides)}")
        if any(size % 2 == 0 for size in self.kernel):
            raise ValueError("kernel sizes must be odd")
        return self


class AugmentationConfig(Section):
    """Stochastic Temporal Augmentation (STA)."""

    views: Literal["segments", "whole"] = Field(
        "segments", description="segments: a view shows one segment of a synthetic video; whole: all of it"
    )
    span: float = Field(1.0, gt=0, le=1, description="share of a real video that one segment stands for")
    window: Share = Field(0.0, description="share of views that are windows of any place and length, not segments")
    speed: float = Field(1.0, ge=1, description="a view shows between 1/speed and all of its stretch")


class FitConfig(Section):
    """How a network is trained: from scratch, with SGD."""

    steps: int = Field(500, ge=1, description="updates, whatever the size of the set")
    batch: int = Field(256, ge=1, description="clips an update; a smaller set is one batch")
    step_size: float = Field(0.01, gt=0, description="SGD step size")
    decay: bool = Field(True, description="lower the step size tenfold after half of the updates")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="of SGD")
    flip: bool = Field(False, description="random horizontal flips in training; off where direction is the label")

    def updates(self, pieces: int) -> int:
        """So many, of a set of so many pieces."""
        return self.steps

    @property
    def shows_all(self) -> bool:
        """Whether a pass over a set ends with what is left, though that is no full batch."""
        return False


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


class ExpertFitConfig(FitConfig):
    """How an expert is trained: as any network, but its step size stays, so that all its snapshots are as far apart."""

    decay: bool = Field(False, description="lower the step size tenfold after half of the updates")


class ExpertsConfig(Section):
    """`idtd experts`: networks like `distill.network`, trained on the real clips and kept at several stages."""

    count: int = Field(10, ge=1, description="experts")
    every: int = Field(25, ge=1, description="updates between two snapshots of an expert; its start is the first")
    fit: ExpertFitConfig = ExpertFitConfig()

    @model_validator(mode="after")
    def _ends_with_a_snapshot(self) -> ExpertsConfig:
        if self.fit.steps % self.every:
            raise ValueError(f"fit.steps ({self.fit.steps}) is no multiple of every ({self.every})")
        return self

    @property
    def snapshots(self) -> int:
        """Snapshots of an expert, its start among them."""
        return self.fit.steps // self.every + 1


class PoolConfig(Section):
    """Feature Pool."""

    entries_per_selector: int = Field(
        1, ge=1, description="M is this many times the selectors that share a group, so that it grows with ipc"
    )
    scope: Literal["class", "dataset"] = Field("class", description="class: a group a class; dataset: one for all")
    start: Literal["clusters", "random"] = Field(
        "clusters",
        description="clusters: means of k-means clusters of a class's segments; random: segments as they are",
    )
    step_size: float = Field(0.005, gt=0, description="Adam step size")


class SelectorsConfig(Section):
    """Feature Selectors."""

    temperature: Positive = Field(1.0, description="of the softmax over the pool")
    sharpness: float = Field(0.9, gt=0, lt=1, description="weight of each selector's own entry at the start")
    step_size: float = Field(0.005, ge=0, description="Adam step size")


class FusorConfig(Section):
    """Temporal Fusor."""

    channels: int = Field(16, ge=1, description="width of the residual network")
    step_size: float = Field(0.001, ge=0, description="Adam step size")


class IdtdConfig(Section):
    """The parametrisation of IDTD."""

    segments: int = Field(4, ge=1, description="K: selectors, and so segments, of an instance")
    diversity: float = Field(1.0, ge=0, description="λ: weight of the diversity loss")
    pool: PoolConfig = PoolConfig()
    selectors: SelectorsConfig = SelectorsConfig()
    fusor: FusorConfig = FusorConfig()


class DistributionMatchingConfig(Section):
    """Distribution matching."""

    common: float = Field(
        1.0, ge=0, description="weight of what all classes' differences share; 1 is as published, 0 ignores it"
    )


class LearningNetworksConfig(Section):
    """Networks that learn from the synthetic videos while these are made; with turns 1, all are fresh."""

    networks: int = Field(1, ge=1, description="networks that take turns")
    turns: int = Field(1, ge=1, description="of its own turns that a network serves before a fresh one takes its place")
    updates: int = Field(1, ge=0, description="SGD steps on the synthetic videos after a turn of a network")
    step_size: float = Field(0.01, gt=0, description="of these SGD steps")


class GradientMatchingConfig(LearningNetworksConfig):
    """Gradient matching, and its networks; they are fresh unless `turns` is raised."""


class FeatureRegressionConfig(LearningNetworksConfig):
    """Neural feature regression, and its networks; they learn from the synthetic videos."""

    networks: int = Field(10, ge=1, description="networks that take turns")
    turns: int = Field(
        100, ge=1, description="of its own turns that a network serves before a fresh one takes its place"
    )
    ridge: Positive = Field(1e-6, description="in units of the mean of the kernel's diagonal")


class TrajectoryMatchingConfig(Section):
    """Trajectory matching: trained on the synthetic videos, an expert's earlier self must become its later self."""

    student_steps: int = Field(10, ge=1, description="SGD steps on the synthetic videos")
    batch: int = Field(64, ge=1, description="pieces of synthetic videos a step; all of them if there are fewer")
    expert_snapshots: int = Field(2, ge=1, description="how many snapshots after its start the target is")
    latest_start: int = Field(6, ge=0, description="the last snapshot that a start may be; 0 is the untrained network")
    inner_step_size: float = Field(0.01, gt=0, description="of the SGD steps, at first: it is learned")
    step_size: float = Field(0.01, ge=0, description="Adam step size of the logarithm of inner_step_size; 0 keeps it")


class PixelConfig(Section):
    """The reference parametrisation: the pixels of the videos themselves."""

    segments: int = Field(1, ge=1, description="K: pieces that a video is packed of; 1 is as published")
    start: Literal["clusters", "random"] = Field("random", description="as of the pool")
    step_size: float = Field(0.02, gt=0, description="Adam step size")


class StaticDynamicConfig(Section):
    """The reference that makes videos of still images and of memories of what moves."""

    images: int = Field(2, ge=1, description="still images in place of each of the `ipc` videos")
    memories: int = Field(
        2, ge=1, description="one-channel memories beside them; every pair of an image and a memory is a video"
    )
    image_share: float = Field(
        0.5, ge=0, lt=1, description="share of the steps, the first ones, that learn the images; the rest leaves them"
    )
    image_step_size: Positive = Field(0.02, description="Adam step size")
    memory_step_size: Positive = Field(0.1, description="Adam step size")
    convolution_step_size: float = Field(0.01, ge=0, description="Adam step size")

    @property
    def videos(self) -> int:
        """Videos that are made in place of one."""
        return self.images * self.memories


class CoresetConfig(Section):
    """The references that choose real clips: by what `distill.network` sees in them, once it is trained on them."""

    fit: FitConfig = FitConfig()


class SoftLabelsConfig(Section):
    """Soft labels: what experts say of each piece of a finished video, for students to learn beside its class."""

    teachers: int = Field(
        0, ge=0, description="experts that are asked, each after its last update; 0: a video has its class alone"
    )
    temperature: Positive = Field(6.0, description="that scores are divided by before they become shares of classes")


class DistillConfig(Section):
    """`idtd distill`."""

    method: Method = Field(
        "idtd",
        description="idtd, pixel and static-dynamic match synthetic videos to the real clips; random, herding and "
        "k-center choose clips",
    )
    matching: Literal["dm", "dc", "mtt", "frepo"] = Field(
        "dm",
        description="matching loss; dm: distribution matching, dc: gradients, mtt: trajectories, which needs "
        "`--experts`, frepo: feature regression",
    )
    ipc: int = Field(1, ge=1, description="I: synthetic videos a class")
    steps: int = Field(300, ge=0, description="optimisation steps; 0 takes the start of the method as it is")
    network_steps: int = Field(1, ge=1, description="steps that a fresh network, and its real batch, serve")
    batch_real: int = Field(32, ge=1, description="real clips a class and drawn network")
    momentum: float = Field(0.5, ge=0, lt=1, description="of Adam's first moment, all parts")
    seed: int = Field(0, ge=0, lt=1 << 31, description="draws of the run; `--seed` sets it")
    checkpoint_every: int = Field(50, ge=1, description="steps between checkpoints")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the networks that dm draws; the videos and the losses stay float32"
    )
    validate_every: int = Field(
        0,
        ge=0,
        description="steps between two scores of the current videos, from before the first step to after the last: "
        "fresh students, trained as `evaluate` says, on the split that `selection` names; 0: none",
    )
    validate_students: int = Field(2, ge=1, description="students of such a score; the same seeds each time")
    selection: Selection = Field(
        "last",
        description="which videos are the result: those after the last step, or those of the best score; "
        "peer-best-of-test scores on the test split, as the peers do, and every report of the set says that its figure "
        "is then no measure of how well it does on unseen videos",
    )
    preview_every: int = Field(0, ge=0, description="steps between two contact sheets of the current videos; 0: none")
    network: StudentConfig = StudentConfig()
    network_snapshots: int = Field(
        0,
        ge=0,
        description="networks are drawn among the first so many snapshots of experts; 0: they have fresh weights",
    )
    augmentation: AugmentationConfig = AugmentationConfig()
    dm: DistributionMatchingConfig = DistributionMatchingConfig()
    dc: GradientMatchingConfig = GradientMatchingConfig()
    frepo: FeatureRegressionConfig = FeatureRegressionConfig()
    mtt: TrajectoryMatchingConfig = TrajectoryMatchingConfig()
    idtd: IdtdConfig = IdtdConfig()
    pixel: PixelConfig = PixelConfig()
    static_dynamic: StaticDynamicConfig = StaticDynamicConfig()
    coreset: CoresetConfig = CoresetConfig()
    soft_labels: SoftLabelsConfig = SoftLabelsConfig()

    @model_validator(mode="after")
    def _settings_fit(self) -> DistillConfig:
        if self.selection != "last" and not self.validate_every:
            raise ValueError(f"selection {self.selection} needs validate_every above 0")
        if self.precision != "float32" and self.matching != "dm":
            raise ValueError(f"precision {self.precision} goes with matching dm alone, not with {self.matching}")
        return self

    @property
    def validates(self) -> bool:
        """Whether videos are scored while they are made, so that the students of `evaluate` decide what comes out."""
        return self.validate_every > 0 and self.method not in CHOSEN

    @property
    def validation_split(self) -> str:
        """Where videos are scored while they are made: the test split only for the peers' rule, by its name."""
        return "test" if self.selection == "peer-best-of-test" else "val"

    @property
    def segments(self) -> int:
        """K of the videos that the method makes; 1 where they are whole clips."""
        return int(getattr(self._of_method, "segments", 1))

    @property
    def videos_a_class(self) -> int:
        """Videos that the method makes of each class: I, unless it makes several of what it keeps in place of one."""
        return self.ipc * int(getattr(self._of_method, "videos", 1))

    @property
    def _of_method(self) -> Section | None:
        """The method's own section, if it has one."""
        section: Section | None = getattr(self, self.method.replace("-", "_"), None)
        return section


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


class ExportConfig(Section):
    """`idtd export`."""

    payload: Literal["video", "tensor"] = Field(
        "video",
        description="what the shards of a set hold its clips as: video: lossless H.264; tensor: safetensors, smaller "
        "where clips are like noise, and faster to open; `--payload` sets it",
    )
    shard_mb: float = Field(
        1000, gt=0, description="megabytes that a shard has at most, if it holds more than one clip; `--shard-size`"
    )


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

    @model_validator(mode="after")
    def _fits_the_student(self) -> EvaluateConfig:
        if self.student.name in self.across or len(set(self.across)) < len(self.across):
            raise ValueError(f"across names an architecture twice: {', '.join((self.student.name, *self.across))}")
        return self


#: What an arm or a value of an axis is called; YAML may read it as a number.
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\r\n]*$", coerce_numbers_to_str=True)]
#: Keys of a recipe, dotted, and the values that they get.
Changes = dict[Name, Any]


class GridConfig(Section):
    """A table: `idtd reproduce` runs this recipe for each of its cells, with some keys changed. Others pass it over."""

    seeds: int = Field(1, ge=1, le=1000, description="distillations of a cell, with distill.seed and those that follow")
    axes: dict[Name, Annotated[dict[Name, Changes], Field(min_length=1)]] = Field(
        {},
        description="the columns: a key and the list of its values, or a name and named changes, as of arms; every "
        "value of each goes with every value of the others",
    )
    arms: dict[Name, Changes] = Field(
        {},
        description="the rows: a name and the keys that it changes, as `{distill.idtd.segments: 1}`; differences are "
        "against the first; without arms, each of `methods` is one",
    )

    @field_validator("axes", mode="before")
    @classmethod
    def _named(cls, axes: Any) -> Any:
        """Values in a list become changes of the axis's own key, each named by itself."""
        if not isinstance(axes, dict):
            return axes
        named = dict(axes)
        for axis, values in axes.items():
            if axis == "arm":
                raise ValueError("no axis can be called arm")
            if isinstance(values, list | tuple):
                names = [value if isinstance(value, str) else json.dumps(value, default=str) for value in values]
                if len(set(names)) < len(names):
                    raise ValueError(f"{axis} has a value twice")
                named[axis] = {name: {axis: value} for name, value in zip(names, values, strict=True)}
        return named

    figures: tuple[FigureName, ...] = Field(
        (),
        description="of the arms at the first place, beside the chart of the table: redundancy (a class's gain by "
        "the first arm over the second, by how redundant it is), temporal (how much videos change over time), "
        "qualitative (videos side by side)",
    )

    def short(self, axis: str) -> str:
        """The last part of an axis's name, if no other ends with it; else all of it."""
        last = axis.rpartition(".")[2]
        return axis if [other.rpartition(".")[2] for other in self.axes].count(last) > 1 or last == "arm" else last


class Expectation(Section):
    """A figure that somebody measured with a recipe, or that nobody has measured yet."""

    of: Name = Field(description="an arm of the grid; without a grid a method, random or full")
    at: dict[Name, Name] = Field({}, description="where in the grid: axis → the name of its value")
    data: str | None = Field(None, description="name of the source; null: the demo set")
    top1: Share | None = Field(description="mean over students, a share; null: not measured yet")
    within: Share | None = Field(None, description="how far another run may be from it")
    source: str = Field(min_length=1, description="who measured it on what, or `not measured yet`")

    @model_validator(mode="after")
    def _is_complete(self) -> Expectation:
        if (self.top1 is None) != (self.within is None):
            raise ValueError("top1 and within go together: both are numbers, or both null")
        return self


@dataclass(frozen=True)
class Cell:
    """One cell of a grid."""

    arm: str
    place: dict[str, str]  #: axis → the name of its value here
    heading: str  #: the place, for people
    recipes: tuple[Recipe, ...]  #: complete, one for each distillation; they differ in distill.seed alone

    def __str__(self) -> str:
        return f"{self.arm}, {self.heading}" if self.place else self.arm


class Recipe(Section):
    """A whole recipe."""

    name: str = Field(description="names runs and reports")
    description: str = Field("", description="what it is for, one sentence")
    cost: str = Field("", description="what it takes and on what, measured; else `not measured yet`")
    methods: tuple[Method, ...] = Field(("idtd", "pixel"), min_length=1, description="what `idtd reproduce` distils")
    prepare: PrepareConfig = PrepareConfig()
    experts: ExpertsConfig = ExpertsConfig()
    distill: DistillConfig = DistillConfig()
    export: ExportConfig = ExportConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    # Left out of what is stored: no digest depends on the table that a result is for.
    grid: GridConfig = Field(GridConfig(), exclude=True)
    expect: tuple[Expectation, ...] = Field(
        (), exclude=True, description="figures that `idtd reproduce` compares with what it finds"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Recipe:
        if len(set(self.methods)) < len(self.methods):
            raise ValueError(f"methods names one twice: {', '.join(self.methods)}")
        if problem := scoring_problem(self.evaluate.scoring, self.prepare.clip):
            raise ValueError(problem)
        for each in self.expect:
            axes = {self.grid.short(axis): values for axis, values in self.grid.axes.items()}
            known = {*self.arms, "random", "full"} if self.has_grid else {*self.methods, "random", "full"}
            if each.of not in known or any(value not in axes.get(axis, {}) for axis, value in each.at.items()):
                raise ValueError(f"expect names {each.of} at {each.at or 'no place'}, which the recipe does not have")
        if "redundancy" in self.grid.figures and len(self.arms) < 2:
            raise ValueError("the figure redundancy compares the first arm with the second, and there is one")
        frames = self.prepare.clip.frames
        for name in ("idtd", "pixel"):
            segments = getattr(self.distill, name).segments
            if frames % segments:
                raise ValueError(
                    f"prepare.clip.frames ({frames}) is no multiple of distill.{name}.segments ({segments})"
                )
        return self

    def to_yaml(self) -> str:
        """The resolved recipe: every key with its value."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def digest(self) -> str:
        return section_digest(self)

    @property
    def has_grid(self) -> bool:
        return self.grid != GridConfig()

    @property
    def arms(self) -> dict[str, Changes]:
        """The rows of the grid."""
        return self.grid.arms or {method: {"distill.method": method} for method in self.methods}

    def cells(self) -> list[Cell]:
        """All cells of the grid, column by column.

        Raises:
            InputError: a change of a cell names no key, or gives it a value that does not fit; the cell is named.
        """
        axes = self.grid.axes
        if (count := math.prod(map(len, [self.arms, *axes.values()]))) > _MOST_CELLS:
            raise InputError(f"The grid of the recipe {self.name} has {count} cells; {_MOST_CELLS} is the most.")
        if (runs := count * self.grid.seeds) > _MOST_DISTILLATIONS:
            raise InputError(
                f"The grid of the recipe {self.name} asks for {runs} distillations; {_MOST_DISTILLATIONS} is the most.",
                "Lower grid.seeds.",
            )
        places = [dict(zip(axes, names, strict=True)) for names in product(*axes.values())]
        return [self._cell(arm, place) for place in places for arm in self.arms]

    def _cell(self, arm: str, place: dict[str, str]) -> Cell:
        heading = ", ".join(f"{self.grid.short(axis)} {value}" for axis, value in place.items())
        layers = [self.arms[arm], *(self.grid.axes[axis][value] for axis, value in place.items())]
        try:
            first = Recipe.model_validate(self._changed([change for layer in layers for change in layer.items()]))
            seeds = range(first.distill.seed, first.distill.seed + self.grid.seeds)
            content = first.model_dump()
            content["distill"]["seed"] = seeds[-1]
            Recipe.model_validate(content)  # the largest fits, and so do the others
        except ValueError as error:  # a ValidationError is one, too
            problems = map(_problem, error.errors()) if isinstance(error, ValidationError) else [str(error)]
            listed = "\n".join(f"  {problem}" for problem in problems)
            raise InputError(
                f"The cell {arm}{heading and f', {heading}'} of the recipe {self.name} does not fit:\n{listed}\n",
                "docs/recipes.md lists every key.",
            ) from error
        sections = (first.distill.model_copy(update={"seed": seed}) for seed in seeds)
        recipes = tuple(first.model_copy(update={"distill": section}) for section in sections)
        return Cell(arm, place, heading or "top-1 %", recipes)

    def _changed(self, changes: list[tuple[str, Any]]) -> dict[str, Any]:
        """Every key with its value, some of them changed."""
        content = self.model_dump(mode="json")
        for one, other in combinations(sorted(key for key, _ in changes), 2):
            if f"{other}.".startswith(f"{one}."):
                raise ValueError(f"{other} is changed twice" + (f", once as part of {one}" if one != other else ""))
        for key, value in changes:
            if not isinstance(content.get(key.partition(".")[0]), dict):
                raise ValueError(f"{key} is no key that a grid can change")
            _put(content, key, value)
        return content


def scoring_problem(scoring: ScoringConfig, clip: ClipConfig) -> str | None:
    """Why videos that are stored like this cannot be scored like that, or None."""
    if clip.draws > 1 and scoring.views > clip.draws:
        return f"evaluate.scoring.views ({scoring.views}) is above the draws of a video ({clip.draws})"
    if clip.draws > 1 and scoring.span < 1:
        return "evaluate.scoring.span below 1 does not go with several draws of a video"
    if clip.draws == 1 and scoring.views > 1 and scoring.span == 1:
        return f"{scoring.views} evaluate.scoring.views of all of a video are the same: lower evaluate.scoring.span"
    return None


def flat(section: Section) -> dict[str, Any]:
    """Every key of a section, dotted, with its value."""

    def walk(content: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
        for key, value in content.items():
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{key}.")
            else:
                yield prefix + key, value

    return dict(walk(section.model_dump(mode="json"), ""))


def section_digest(section: Section) -> str:
    """sha256 over every key and value of a section: equal settings, equal digest, however they were written."""
    return storage.sha256_bytes(section.model_dump_json().encode())


def shipped() -> dict[str, Path]:
    """The recipes that come with idtd, by name: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parent
    folder = next((f for f in (package / "recipes", package.parent / "recipes") if f.is_dir()), None)
    return {_name_in(folder, path): path for path in sorted(folder.rglob("*.yaml"))} if folder else {}


def _name_in(folder: Path, path: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def protocols() -> dict[str, Path]:
    """The shipped recipes whose section `evaluate` is a protocol with a name, by that name."""
    head = "protocols/"
    return {name.removeprefix(head): path for name, path in shipped().items() if name.startswith(head)}


def protocol(name: str) -> dict[str, Any]:
    """The keys of a recipe's section `evaluate` that a shipped protocol fixes.

    Raises:
        InputError: there is none of this name.
    """
    there = protocols()
    if name not in there:
        raise InputError(f"There is no protocol {name}.", f"There are {', '.join(there)}.")
    section: dict[str, Any] = _read(there[name])[1]["evaluate"]
    return section


def followed(config: EvaluateConfig) -> list[str]:
    """The names of the shipped protocols that a section `evaluate` keeps to in every key that they fix."""
    content = config.model_dump(mode="json")
    return [name for name in protocols() if _merged(content, protocol(name)) == content]


def load(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by path or by the name of a shipped one, and apply overrides `a.b=value`.

    Where the file names a `base`, another recipe by path (from its own folder) or name, it says only what is different
    from it; a name, a description, a cost and what is expected are always its own, and so is a grid, unless it says
    `grid: base`. Where its section
    `evaluate`, or an override, names a `protocol`, a shipped one, that gives the keys that it has; those of the file,
    and later overrides, come after it.

    Raises:
        InputError: no such recipe, not YAML, or keys and values that do not fit; all of them are named at once.
    """
    path, content = _layered(source)
    for override in overrides:
        if override.startswith("evaluate.protocol="):
            content = _merged(content, {"evaluate": protocol(override.partition("=")[2])})
        else:
            _apply(content, override)
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors()]
        count = f"{len(problems)} errors" if len(problems) > 1 else "an error"
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise InputError(f"{path} has {count}:\n{listed}\n", "docs/recipes.md lists every key.") from error
    if recipe.has_grid:
        recipe.cells()
    return recipe


def _layered(source: str | Path, children: tuple[Path, ...] = ()) -> tuple[Path, dict[str, Any]]:
    """The file of a recipe, and what it says on top of its base, which may have one as well."""
    path, content = _read(source, children[-1] if children else None)
    if path in children:
        raise InputError(f"{path} is its own base, by way of {children[-1]}.", "Name another base.")
    section = content.get("evaluate")
    if isinstance(section, dict) and "protocol" in section:
        own_keys = {key: value for key, value in section.items() if key != "protocol"}
        content["evaluate"] = _merged(protocol(str(section["protocol"])), own_keys)
    if "base" not in content:
        return path, content
    base = str(content.pop("base"))
    _, below = _layered(path.parent / base if Path(base).suffix in _SUFFIXES else base, (*children, path))
    if content.get("grid") == "base":
        content["grid"] = below.get("grid", {})
    return path, _merged({key: value for key, value in below.items() if key not in _OWN}, content)


def _read(source: str | Path, child: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """The file of a recipe, which may be the base of another, and what it says."""
    path = Path(source) if Path(source).suffix in _SUFFIXES else shipped().get(str(source))
    if path is None or not path.is_file():
        names = ", ".join(shipped())
        whose = f", the base of {child}" if child else ""
        raise InputError(f"There is no recipe {source}{whose}.", f"Give the path of a YAML file, or one of: {names}.")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable as YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no recipe: its top level must be keys and values.")
    return path, content


class _Loader(yaml.SafeLoader):
    """Plain YAML, of which nothing is lost: no key twice, and none that YAML takes for something else than a name."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = "<<" if key.tag == "tag:yaml.org,2002:merge" else self.construct_object(key, deep=True)
            if not isinstance(name, str | int | float) or isinstance(name, bool):
                raise yaml.constructor.ConstructorError(None, None, f"the key {name} needs quotes", key.start_mark)
            if str(name) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name} is there twice", key.start_mark)
            seen.add(str(name))
        return super().construct_mapping(node, deep)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A mapping with the changes of another, key by key at every depth."""
    merged = dict(base)
    for key, value in changes.items():
        inner = merged.get(key)
        merged[key] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError(f"--set {override} is not of the form a.b=value.", "For example --set distill.ipc=5.")
    try:
        value = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"--set {override}: the value is not readable as YAML.") from error
    try:
        _put(content, key, value)
    except ValueError as error:
        raise InputError(f"--set {override}: {error}.") from error


def _put(content: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key; sections that are not there are made."""
    *sections, last = key.split(".")
    for section in sections:
        inner = content.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{section} is a value, not a section")
        content = inner
    content[last] = value


def _problem(item: Any) -> str:
    """One line for one validation error: the key's path, what is wrong, and the nearest key if it is unknown."""
    where = ".".join(map(str, item["loc"])) or "recipe"
    if item["type"] != "extra_forbidden":
        return f"{where}: {item['msg'].removeprefix('Value error, ')} (given: {item['input']!r:.60})"
    section: Any = Recipe
    for part in item["loc"][:-1]:
        section = section.model_fields[part].annotation
    near = difflib.get_close_matches(str(item["loc"][-1]), section.model_fields, n=1)
    return f"{where}: unknown key" + (f"; did you mean {near[0]}?" if near else "")
