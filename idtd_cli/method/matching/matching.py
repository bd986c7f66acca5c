"""What a matching loss is to the loop: any of them goes with any parametrisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from idtd_cli.method.views import SyntheticViews


@dataclass(frozen=True)
class Match:
    """How well synthetic videos match.

    Attributes:
        loss: the matching loss, a scalar; where ranks share the classes, a share of it, and the shares add up.
        embedding_PD: one view of each piece of the videos as the network of the match embeds it, for the diversity
            loss.
    """

    loss: Tensor
    embedding_PD: Tensor


class Look(Protocol):
    """One drawn network and what it saw of the real clips; nothing in it depends on the synthetic videos."""

    @property
    def centre_C1D(self) -> Tensor:
        """Mean embedding of real clips of each class."""

    def embed(self, x_B3THW: Tensor) -> Tensor:
        """The network's embeddings (B, D)."""

    def match(self, videos_NT3HW: Tensor, views: SyntheticViews, generator: torch.Generator) -> Match:
        """Compare the videos, normalised and seen in views drawn with the generator, with the real clips.

        The loss is differentiable in the videos, and in what the matching itself learns.
        """


class Matching(nn.Module):
    """A matching loss with the networks and the real clips that it needs.

    What it learns beside the videos are its parameters; what else it must remember from one turn to the next are its
    buffers. Both are kept in checkpoints.
    """

    def look(self, turn: int) -> Look:
        """Draw the network and the real clips of a turn; the same for the same turn."""
        raise NotImplementedError

    def learn(self, turn: int, videos_NT3HW: Tensor, views: SyntheticViews, generator: torch.Generator) -> None:
        """Change what is to be remembered, once the steps of a turn are taken, by the turn's last videos, detached.

        Within a turn nothing changes: a look that is taken again is the same. Nothing by default.
        """

    def step_sizes(self) -> list[dict[str, object]]:
        """Parameter groups with their step sizes, as optimisers take them; none by default."""
        return []
