"""Networks that learn from the synthetic videos while these are made, as some matching losses want them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from idtd_cli.method import seeds
from idtd_cli.method.network import Network
from idtd_cli.method.views import SyntheticViews
from idtd_cli.recipe import LearningNetworksConfig


class LearningNetworks(nn.Module):
    """P networks that take turns: network t mod P serves turn t, and learns after it.

    After `turns` of its own turns a network gives way to a fresh one instead. The first ones do so earlier, one after
    the other, so that there are networks of every age from then on. Ages follow from the number of the turn; weights
    are all that checkpoints must keep.

    Args:
        config: how many, how long, and how they learn.
        seed: of the run.
        draw_network: seed → a fresh network, the same for the same seed.
    """

    def __init__(self, config: LearningNetworksConfig, seed: int, draw_network: Callable[[int], Network]) -> None:
        super().__init__()
        self._config, self._seed, self._draw_network = config, seed, draw_network
        self.networks = nn.ModuleList(self._fresh(number) for number in range(config.networks))

    def of_turn(self, turn: int) -> Network:
        """The network that serves a turn, in eval mode; its weights want no gradient, and stay until it learns."""
        network: Network = self.networks[turn % self._config.networks]  # type: ignore[assignment]
        return network

    def learn(self, turn: int, videos_NT3HW: Tensor, views: SyntheticViews, generator: torch.Generator) -> None:
        """What becomes of the network of a turn after it: it is trained on the videos, or replaced.

        Training is plain SGD on the cross-entropy, all pieces of the videos in a batch, in views of their own each
        time.
        """
        config, network = self._config, self.of_turn(turn)
        number = turn % config.networks
        served = turn // config.networks + 1
        first_life = -(-config.turns * (number + 1) // config.networks)
        if (served - first_life) % config.turns == 0:
            # Copied, not put in its place: whoever holds the network goes on with this one.
            network.load_state_dict(self._fresh(config.networks + turn).state_dict())
            return
        weights = list(network.requires_grad_(True).parameters())
        for _ in range(config.updates):
            scores_PC = network(views.show(videos_NT3HW, views.draw(generator)))
            loss = views.shard.share * functional.cross_entropy(scores_PC, views.label_P)
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight.sub_(views.shard.ranks.sum(gradient), alpha=config.step_size)
        network.requires_grad_(False)

    def _fresh(self, number: int) -> Network:
        network = self._draw_network(seeds.of_turn(self._seed, number))
        return network.eval().requires_grad_(False)
