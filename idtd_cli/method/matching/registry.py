"""The registry of matching losses: a name in a recipe → the loss, ready to look."""

from __future__ import annotations

from collections.abc import Callable

from idtd_cli.method.matching.distribution_matching import DistributionMatching
from idtd_cli.method.matching.matching import Matching
from idtd_cli.method.network import Network
from idtd_cli.method.views import RealViews
from idtd_cli.recipe import DistillConfig

#: A matching loss joins by an entry here and its name in `recipe.DistillConfig.matching`.
MATCHINGS: dict[str, Callable[[DistillConfig, RealViews, Callable[[int], Network]], Matching]] = {
    "dm": DistributionMatching,
}


def build(config: DistillConfig, real: RealViews, draw_network: Callable[[int], Network]) -> Matching:
    """The matching loss of a recipe.

    Args:
        config: names the loss, and has its section.
        real: views of the real clips.
        draw_network: seed → a network with random weights, the same for the same seed.
    """
    return MATCHINGS[config.matching](config, real, draw_network)
