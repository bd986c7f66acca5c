"""What a parametrisation is: the learnable variables that render to synthetic videos."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from idtd_cli.method.shard import Shard


@dataclass(frozen=True)
class Stored:
    """What has to be kept of a set so that it can be used, all classes together.

    Attributes:
        values: numbers of one byte each, as pixels are.
        parameters: numbers of four bytes each.
    """

    values: int
    parameters: int = 0


class Parametrisation(nn.Module):
    """A set of N synthetic videos in the making, `videos_a_class` of its recipe of each class.

    Attributes:
        segments: K, the pieces that a video is made of and seen in; 1 where a video is one piece.
        diversity: λ, weight of the diversity loss of the segments.
    """

    segments: int = 1
    diversity: float = 0.0

    def forward(self) -> Tensor:
        """The videos (N, T, 3, H, W), normalised, in class order, differentiable."""
        raise NotImplementedError

    def at(self, step: int) -> Tensor:
        """The videos as a step of the loop is to match them: as they are, unless parts are learnt one by one."""
        videos_NT3HW: Tensor = self()
        return videos_NT3HW

    def shared(self) -> list[nn.Parameter]:
        """Parameters that all classes draw on. The others have classes along their first dimension, in class order."""
        return []

    def keep(self, shard: Shard) -> None:
        """Keep the videos of these classes alone."""
        shared = {id(parameter) for parameter in self.shared()}
        for parameter in self.parameters():
            if id(parameter) not in shared:
                parameter.data = parameter.data[shard.rows(len(parameter))].clone()

    def step_sizes(self) -> list[dict[str, object]]:
        """Parameter groups with their step sizes, as optimisers take them."""
        raise NotImplementedError

    def stored(self, videos_NT3HW: Tensor) -> Stored:
        """What a set of these videos, all of a run, stores: the videos, unless less is enough to render them."""
        return Stored(videos_NT3HW.numel())
