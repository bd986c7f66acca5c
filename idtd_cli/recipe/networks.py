"""Networks, what they see of a video, and how they are trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from idtd_cli.recipe.section import Section, Share, Whole

StudentName = Literal["convnet3d", "cnn-gru", "cnn-lstm", "r3d-18", "r2plus1d-18", "transformer"]


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
