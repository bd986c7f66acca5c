"""`distill`: how synthetic videos are made or chosen."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from idtd_cli.recipe.matching import (
    DistributionMatchingConfig,
    FeatureRegressionConfig,
    GradientMatchingConfig,
    TrajectoryMatchingConfig,
)
from idtd_cli.recipe.methods import CoresetConfig, IdtdConfig, PixelConfig, SoftLabelsConfig, StaticDynamicConfig
from idtd_cli.recipe.networks import AugmentationConfig, StudentConfig
from idtd_cli.recipe.section import Section

Method = Literal["idtd", "pixel", "static-dynamic", "random", "herding", "k-center"]
#: Methods whose videos are real clips, chosen and not made.
CHOSEN: frozenset[Method] = frozenset(("random", "herding", "k-center"))
Selection = Literal["last", "best-on-validation", "peer-best-of-test"]


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
    frames: int = Field(
        0,
        ge=0,
        description="T: frames of a synthetic video, a multiple of prepare.clip.frames; 0: as many. Real clips that "
        "are chosen, and the clips of static-dynamic, are packed into it one after another",
    )
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

    def video_frames(self, clip_frames: int) -> int:
        """T: frames of a synthetic video, where networks see clips of so many frames."""
        return self.frames or clip_frames

    def clips_a_video(self, clip_frames: int) -> int:
        """P: the clips that take as many frames as a synthetic video."""
        return self.video_frames(clip_frames) // clip_frames

    def segments(self, clip_frames: int) -> int:
        """K of the videos that the method makes; where it makes whole clips, those that a video is packed of."""
        return int(getattr(self._of_method, "segments", self.clips_a_video(clip_frames)))

    @property
    def videos_a_class(self) -> int:
        """Videos that the method makes of each class: I, unless it makes several of what it keeps in place of one."""
        return self.ipc * int(getattr(self._of_method, "videos", 1))

    @property
    def _of_method(self) -> Section | None:
        """The method's own section, if it has one."""
        section: Section | None = getattr(self, self.method.replace("-", "_"), None)
        return section
