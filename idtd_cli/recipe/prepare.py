"""`prepare`: which clips are stored of the videos."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from idtd_cli.recipe.section import Section, Share


class ClipConfig(Section):
    """What a stored clip is: how many frames of a video, and how large."""

    frames: int = Field(16, ge=1, description="S: frames of a clip as a network sees it")
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
