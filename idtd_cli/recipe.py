"""Recipes: everything that decides a result, in one YAML file that is stored with what it made.

A recipe is complete by itself (no inheritance). Each section is the small config of one part of the program, which
receives that section and never the whole recipe. Overrides come as `a.b=value`, the value in YAML.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from idtd_cli import storage
from idtd_cli.errors import InputError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Whole = Annotated[int, Field(ge=1)]
Method = Literal["idtd", "pixel", "herding", "k-center"]


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
    resize: Literal["crop", "stretch"] = Field(
        "crop", description="crop: short side to size, then the centre; stretch: the whole frame, ratio not kept"
    )
    min_frames: int = Field(8, ge=1, description="a video with fewer frames is rejected")

    @model_validator(mode="after")
    def _dense(self) -> ClipConfig:
        if self.stored_frames < self.frames:
            raise ValueError(f"stored_frames ({self.stored_frames}) is below frames ({self.frames})")
        return self


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

    name: Literal["convnet3d"] = Field("convnet3d", description="key in the registry of students")
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
    """How a network is trained: from scratch, SGD, step size lowered tenfold after half of the steps."""

    steps: int = Field(500, ge=1, description="updates, whatever the size of the set")
    batch: int = Field(256, ge=1, description="clips an update; a smaller set is one batch")
    step_size: float = Field(0.01, gt=0, description="SGD step size")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="of SGD")
    flip: bool = Field(False, description="random horizontal flips in training; off where direction is the label")


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


class PixelConfig(Section):
    """The reference parametrisation: the pixels of the videos themselves."""

    segments: int = Field(1, ge=1, description="K: pieces that a video is packed of; 1 is as published")
    start: Literal["clusters", "random"] = Field("random", description="as of the pool")
    step_size: float = Field(0.02, gt=0, description="Adam step size")


class CoresetConfig(Section):
    """The references that choose real clips: by what `distill.network` sees in them, once it is trained on them."""

    fit: FitConfig = FitConfig()


class DistillConfig(Section):
    """`idtd distill`."""

    method: Method = Field(
        "idtd", description="idtd and pixel match synthetic videos to the real clips; herding and k-center choose clips"
    )
    matching: Literal["dm"] = Field("dm", description="matching loss; dm: distribution matching")
    ipc: int = Field(1, ge=1, description="I: synthetic videos a class")
    steps: int = Field(300, ge=1, description="optimisation steps")
    network_steps: int = Field(1, ge=1, description="steps that a fresh network, and its real batch, serve")
    batch_real: int = Field(32, ge=1, description="real clips a class and drawn network")
    momentum: float = Field(0.5, ge=0, lt=1, description="of Adam's first moment, all parts")
    seed: int = Field(0, ge=0, lt=1 << 31, description="draws of the run; `--seed` sets it")
    checkpoint_every: int = Field(50, ge=1, description="steps between checkpoints")
    network: StudentConfig = StudentConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    dm: DistributionMatchingConfig = DistributionMatchingConfig()
    idtd: IdtdConfig = IdtdConfig()
    pixel: PixelConfig = PixelConfig()
    coreset: CoresetConfig = CoresetConfig()

    @property
    def segments(self) -> int:
        """K of the videos that the method makes; 1 where they are whole clips."""
        section = getattr(self, self.method, None)
        return int(getattr(section, "segments", 1))


class EvaluateConfig(Section):
    """`idtd evaluate`."""

    students: int = Field(5, ge=1, description="students trained on each set; `--seeds` sets it")
    full_students: int = Field(2, ge=0, description="students trained on the full data; 0 leaves it out")
    split: Literal["test", "validation"] = Field("test", description="what is scored; tune on validation alone")
    student: StudentConfig = StudentConfig()
    fit: FitConfig = FitConfig()
    augmentation: AugmentationConfig = AugmentationConfig()


class Recipe(Section):
    """A whole recipe."""

    name: str = Field(description="names runs and reports")
    description: str = Field("", description="what it is for, one sentence")
    methods: tuple[Method, ...] = Field(("idtd", "pixel"), min_length=1, description="what `idtd reproduce` distils")
    prepare: PrepareConfig = PrepareConfig()
    distill: DistillConfig = DistillConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="after")
    def _parts_fit(self) -> Recipe:
        if len(set(self.methods)) < len(self.methods):
            raise ValueError(f"methods names one twice: {', '.join(self.methods)}")
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


def section_digest(section: Section) -> str:
    """sha256 over every key and value of a section: equal settings, equal digest, however they were written."""
    return storage.sha256_bytes(section.model_dump_json().encode())


def shipped() -> dict[str, Path]:
    """The recipes that come with idtd, by name: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parent
    folder = next((f for f in (package / "recipes", package.parent / "recipes") if f.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))} if folder else {}


def load(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by path or by the name of a shipped one, and apply overrides `a.b=value`.

    Raises:
        InputError: no such recipe, not YAML, or keys and values that do not fit; all of them are named at once.
    """
    path = Path(source) if Path(source).suffix in {".yaml", ".yml"} else shipped().get(str(source))
    if path is None or not path.is_file():
        names = ", ".join(shipped())
        raise InputError(f"There is no recipe {source}.", f"Give the path of a YAML file, or one of: {names}.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable as YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no recipe: its top level must be keys and values.")
    for override in overrides:
        _apply(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors()]
        count = f"{len(problems)} errors" if len(problems) > 1 else "an error"
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise InputError(f"{path} has {count}:\n{listed}\n", "docs/recipes.md lists every key.") from error


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    parts = key.split(".")
    if not equals or not all(parts):
        raise InputError(f"--set {override} is not of the form a.b=value.", "For example --set distill.ipc=5.")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"--set {override}: the value is not readable as YAML.") from error
    for part in parts[:-1]:
        inner = content.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {override}: {part} is a value, not a section.")
        content = inner
    content[parts[-1]] = value


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
