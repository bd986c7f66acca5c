"""Trajectory matching (MTT; Cazenavette et al., arXiv 2203.11932): train on the videos as experts trained on real ones.

A student starts with the weights that an expert had at some time, takes a few steps of SGD on the synthetic videos,
and is to end with the weights that the expert had some snapshots later:

    loss = ‖ θ_S − θ* ‖² / ‖ θ_0 − θ* ‖²
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from idtd_cli.method import seeds
from idtd_cli.method.matching.matching import Match, Matching
from idtd_cli.method.matching.trajectories import Trajectories
from idtd_cli.method.matching.unrolled_sgd import unrolled_sgd
from idtd_cli.method.network import Network
from idtd_cli.method.views import RealViews, SyntheticViews
from idtd_cli.recipe import DistillConfig


class TrajectoryMatching(Matching):
    """A random stretch of a random expert's way each turn. It learns the step size of the student, as the paper does.

    What is learned is the logarithm: a step size stays above 0, and changes by shares of itself.
    """

    def __init__(
        self,
        config: DistillConfig,
        real: RealViews,
        draw_network: Callable[[int], Network],
        trajectories: Trajectories,
    ) -> None:
        super().__init__()
        self._config, self._real, self._draw_network, self._trajectories = config, real, draw_network, trajectories
        self.log_step_size = nn.Parameter(torch.tensor(math.log(config.mtt.inner_step_size)))

    def step_sizes(self) -> list[dict[str, object]]:
        return [{"params": [self.log_step_size], "lr": self._config.mtt.step_size}]

    def look(self, turn: int) -> _Look:
        mtt, seed = self._config.mtt, seeds.of_turn(self._config.seed, turn)
        expert, start = self._trajectories.draw(mtt.latest_start + 1, seed)
        network = self._draw_network(seed)
        network.load_state_dict(self._trajectories.weights(expert, start + mtt.expert_snapshots))
        target = [weight.detach().clone() for weight in network.parameters()]
        network.load_state_dict(self._trajectories.weights(expert, start))
        # Dropout is off: a step that is computed twice must be the same.
        return _Look(self._config, self._real, self.log_step_size, network.eval().requires_grad_(False), target, turn)


class _Look:
    """A student before its first step, and the weights that it is to end with."""

    def __init__(
        self,
        config: DistillConfig,
        real: RealViews,
        log_step_size: Tensor,
        network: Network,
        target: list[Tensor],
        turn: int,
    ) -> None:
        self._config, self._real, self._log_step_size = config, real, log_step_size
        self._network, self._target, self._turn = network, target, turn
        self._start = dict(network.named_parameters())
        self._distance = _squared_distance(list(self._start.values()), target).clamp(
            min=torch.finfo(torch.float32).tiny
        )

    @cached_property
    def centre_C1D(self) -> Tensor:
        """The match itself looks at no real clips: they are drawn when somebody asks."""
        real_BD = self._real.embedded(self.embed, self._config, self._turn)
        mean_C1D: Tensor = real_BD.float().unflatten(0, (self._real.classes, -1)).mean(1, keepdim=True)
        return mean_C1D

    def embed(self, x_B3THW: Tensor) -> Tensor:
        return self._network.embed(x_B3THW)

    def match(self, videos_NT3HW: Tensor, views: SyntheticViews, generator: torch.Generator) -> Match:
        mtt = self._config.mtt
        piece_SB = _batches(len(views.label_P), mtt.batch, mtt.student_steps, generator)
        views_S = [views.draw(generator, piece_B) for piece_B in piece_SB]

        def loss_of(step: int, weights: Sequence[Tensor], videos_NT3HW: Tensor) -> Tensor:
            x_B3THW = views.show(videos_NT3HW, views_S[step])
            scores_BC: Tensor = functional_call(self._network, dict(zip(self._start, weights, strict=True)), (x_B3THW,))
            return functional.cross_entropy(scores_BC, views.label_P[piece_SB[step]])

        start, step_size = list(self._start.values()), self._log_step_size.exp()
        end = unrolled_sgd(loss_of, mtt.student_steps, videos_NT3HW, step_size, start)
        loss = _squared_distance(end, self._target) / self._distance
        return Match(loss, self.embed(views.show(videos_NT3HW, views.draw(generator))))


def _squared_distance(one: Sequence[Tensor], two: Sequence[Tensor]) -> Tensor:
    return torch.stack([(a - b).square().sum() for a, b in zip(one, two, strict=True)]).sum()


def _batches(pieces: int, batch: int, steps: int, generator: torch.Generator) -> Tensor:
    """The pieces of each step, (S, B): all are seen once, but for the last few, before one is seen again."""
    device, batch = generator.device, min(batch, pieces)
    a_round = pieces // batch
    rounds = [
        torch.randperm(pieces, generator=generator, device=device)[: a_round * batch]
        for _ in range(-(-steps // a_round))
    ]
    return torch.cat(rounds).view(-1, batch)[:steps]
