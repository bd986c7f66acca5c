"""The weights that trained networks, the experts, had on their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class Trajectories:
    """Snapshots of experts, in the host's memory or mapped into it.

    Args:
        experts: of each the snapshots, from its start to its end: name of a weight → (S, …).
    """

    def __init__(self, experts: Sequence[Mapping[str, Tensor]]) -> None:
        self._experts = experts
        #: S, of every expert.
        self.snapshots = len(next(iter(experts[0].values())))

    def draw(self, first: int, seed: int) -> tuple[int, int]:
        """A random expert, and a random one of its `first` snapshots."""
        generator = torch.Generator().manual_seed(seed)
        expert, snapshot = (torch.randint(size, (), generator=generator) for size in (len(self._experts), first))
        return int(expert), int(snapshot)

    def weights(self, expert: int, snapshot: int) -> dict[str, Tensor]:
        """What a network's `load_state_dict` takes, on the host."""
        return {name: stacked[snapshot] for name, stacked in self._experts[expert].items()}
