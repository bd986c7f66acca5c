"""Recipes: everything that decides a result, in one YAML file that is stored with what it made.

Each section is the small config of one part of the program, which receives that section and never the whole recipe.
Overrides come as `a.b=value`, the value in YAML. A file may name another as its `base` and say only what is different;
what is loaded, and stored with results, is complete.
"""

from __future__ import annotations

from idtd_cli.recipe.distill import CHOSEN, DistillConfig, Method, Selection
from idtd_cli.recipe.evaluate import EvaluateConfig, ScoringConfig, StudentFitConfig, scoring_problem
from idtd_cli.recipe.experts import ExpertFitConfig, ExpertsConfig
from idtd_cli.recipe.export import ExportConfig
from idtd_cli.recipe.grid import Expectation, FigureName, GridConfig
from idtd_cli.recipe.loading import followed, load, protocol, protocols, shipped
from idtd_cli.recipe.matching import (
    DistributionMatchingConfig,
    FeatureRegressionConfig,
    GradientMatchingConfig,
    LearningNetworksConfig,
    TrajectoryMatchingConfig,
)
from idtd_cli.recipe.methods import (
    CoresetConfig,
    FusorConfig,
    IdtdConfig,
    PixelConfig,
    PoolConfig,
    SelectorsConfig,
    SoftLabelsConfig,
    StaticDynamicConfig,
)
from idtd_cli.recipe.networks import AugmentationConfig, FitConfig, StudentConfig, StudentName
from idtd_cli.recipe.prepare import ClipConfig, DecodeConfig, PrepareConfig, SplitConfig
from idtd_cli.recipe.section import Section, flat, section_digest
from idtd_cli.recipe.whole import Cell, Recipe

__all__ = [
    "CHOSEN",
    "AugmentationConfig",
    "Cell",
    "ClipConfig",
    "CoresetConfig",
    "DecodeConfig",
    "DistillConfig",
    "DistributionMatchingConfig",
    "EvaluateConfig",
    "Expectation",
    "ExpertFitConfig",
    "ExpertsConfig",
    "ExportConfig",
    "FeatureRegressionConfig",
    "FigureName",
    "FitConfig",
    "FusorConfig",
    "GradientMatchingConfig",
    "GridConfig",
    "IdtdConfig",
    "LearningNetworksConfig",
    "Method",
    "PixelConfig",
    "PoolConfig",
    "PrepareConfig",
    "Recipe",
    "ScoringConfig",
    "Section",
    "Selection",
    "SelectorsConfig",
    "SoftLabelsConfig",
    "SplitConfig",
    "StaticDynamicConfig",
    "StudentConfig",
    "StudentFitConfig",
    "StudentName",
    "TrajectoryMatchingConfig",
    "flat",
    "followed",
    "load",
    "protocol",
    "protocols",
    "scoring_problem",
    "section_digest",
    "shipped",
]
