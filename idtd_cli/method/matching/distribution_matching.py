"""Distribution matching (DM; Zhao & Bilen, arXiv 2110.04181): equal class means in random embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from idtd_cli.method import seeds
from idtd_cli.method.matching.matching import Match, Matching
from idtd_cli.method.network import Network
from idtd_cli.method.shard import Shard
from idtd_cli.method.views import RealViews, SyntheticViews
from idtd_cli.recipe import DistillConfig


class DistributionMatching(Matching):
    """Class means of embeddings, in a fresh network each turn."""

    def __init__(self, config: DistillConfig, real: RealViews, draw_network: Callable[[int], Network]) -> None:
        super().__init__()
        self._config, self._real, self._draw_network = config, real, draw_network

    def look(self, turn: int) -> _Look:
        network = self._draw_network(seeds.of_turn(self._config.seed, turn)).eval().requires_grad_(False)
        real_BD = self._real.embedded(network.embed, self._config, turn)
        real_CBD = real_BD.unflatten(0, (self._real.classes, -1))
        return _Look.of(network, self._real.shard, real_CBD, self._config.dm.common)


#: Share of the squared lengths of class means below which what clips differ by is rounding.
_NOTHING = 1e-12


@dataclass(frozen=True)
class _Look:
    """The real clips as one network sees them.

    `scatter` is the squared distance of a clip from its class mean, summed over classes: divided by it, the loss is
    free of a network's scale, and 1 means class means as far off as single clips are. Where the clips of a class do not
    differ, as where each class has one, the squared lengths of the class means take its place.
    """

    network: Network
    shard: Shard
    centre_C1D: Tensor
    scatter: Tensor
    common: float

    @classmethod
    def of(cls, network: Network, shard: Shard, real_CBD: Tensor, common: float) -> _Look:
        mean_C1D = real_CBD.float().mean(1, keepdim=True)
        own = torch.stack([(real_CBD.float() - mean_C1D).square().sum(2).mean(1).sum(), mean_C1D.square().sum()])
        scatter, lengths = shard.ranks.sum(own)
        scatter = torch.where(scatter > _NOTHING * lengths, scatter, lengths)
        return cls(network, shard, mean_C1D, scatter.clamp(min=torch.finfo(torch.float32).tiny), common)

    def embed(self, x_B3THW: Tensor) -> Tensor:
        return self.network.embed(x_B3THW)

    def match(self, videos_NT3HW: Tensor, views: SyntheticViews, generator: torch.Generator) -> Match:
        embedding_PD = self.embed(views.show(videos_NT3HW, views.draw(generator)))
        synthetic_CVD = embedding_PD.unflatten(0, (len(self.centre_C1D), -1))
        loss = distribution_matching(self.centre_C1D, synthetic_CVD, self.common, self.shard) / self.scatter
        return Match(loss, embedding_PD)


def distribution_matching(
    real_CBD: Tensor, synthetic_CVD: Tensor, common: float = 1.0, shard: Shard | None = None
) -> Tensor:
    """Squared distance between the class means of the embeddings, summed over classes.

    The difference of the means has a part that is common to all classes and a part in which the classes differ. In
    random networks the common part is the larger one by far, and a network trained on the synthetic videos cannot
    use it: it says how real and synthetic videos differ, not how classes do. Its weight is our addition.

    Args:
        real_CBD: embeddings of B real clips of each class.
        synthetic_CVD: embeddings of V views of the synthetic videos of each class.
        common: weight of the common part; 1 is DM as published, 0 leaves the differences between classes alone.
        shard: the classes, if these are not all.
    """
    difference_CD = real_CBD.float().mean(1) - synthetic_CVD.float().mean(1)
    common_1D = difference_CD.mean(0, keepdim=True)
    if shard is not None:
        common_1D = shard.ranks.sum(shard.share * common_1D)
    own = (difference_CD - common_1D).square().sum()
    return own + common * len(difference_CD) * common_1D.square().sum()
