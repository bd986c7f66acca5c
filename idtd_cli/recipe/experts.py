"""`experts`: networks that are trained on the real clips beforehand."""

from __future__ import annotations

from pydantic import Field, model_validator

from idtd_cli.recipe.networks import FitConfig
from idtd_cli.recipe.section import Section


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
