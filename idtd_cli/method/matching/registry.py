"""The registry of matching losses: a name in a recipe → the loss, ready to look."""

from __future__ import annotations

from collections.abc import Callable

from idtd_cli.method.matching.distribution_matching import DistributionMatching
from idtd_cli.method.matching.feature_regression import FeatureRegression
from idtd_cli.method.matching.gradient_matching import GradientMatching
from idtd_cli.method.matching.matching import Matching
from idtd_cli.method.matching.trajectories import Trajectories
from idtd_cli.method.matching.trajectory_matching import TrajectoryMatching
from idtd_cli.method.network import Network
from idtd_cli.method.views import RealViews
from idtd_cli.recipe import DistillConfig

#: A matching loss joins by an entry here and its name in `recipe.DistillConfig.matching`.
MATCHINGS: dict[str, Callable[[DistillConfig, RealViews, Callable[[int], Network]], Matching]] = {
    "dm": DistributionMatching,
    "dc": GradientMatching,
    "frepo": FeatureRegression,
}

#: Those whose loss is a sum over classes, or knows how to add up between ranks that share the classes.
SHARED = frozenset({"dm", "dc"})


def build(
    config: DistillConfig,
    real: RealViews,
    draw_network: Callable[[int], Network],
    trajectories: Trajectories | None = None,
) -> Matching:
    """The matching loss of a recipe.

    Args:
        config: names the loss, and has its section.
        real: views of the real clips.
        draw_network: seed → a network with random weights, the same for the same seed.
        trajectories: of experts, for trajectory matching, which needs them.
    """
    if config.matching == "mtt":
        if trajectories is None:
            raise ValueError("trajectory matching needs trajectories")
        return TrajectoryMatching(config, real, draw_network, trajectories)
    return MATCHINGS[config.matching](config, real, draw_network)
