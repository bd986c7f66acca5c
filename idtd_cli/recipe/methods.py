"""What each method of `distill` makes its videos of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from idtd_cli.recipe.networks import FitConfig
from idtd_cli.recipe.section import Positive, Section


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
