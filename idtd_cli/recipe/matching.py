"""The matching losses of `distill`."""

from __future__ import annotations

from pydantic import Field

from idtd_cli.recipe.section import Positive, Section


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
