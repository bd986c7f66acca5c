"""What a parametrisation is: the learnable variables that render to synthetic videos."""

from __future__ import annotations

from torch import Tensor, nn


class Parametrisation(nn.Module):
    """A set of N = C·I synthetic videos in the making.

    Attributes:
        segments: K, the pieces that a video is made of and seen in; 1 where a video is one piece.
        diversity: λ, weight of the diversity loss of the segments.
    """

    segments: int = 1
    diversity: float = 0.0

    def forward(self) -> Tensor:
        """The videos (N, T, 3, H, W), normalised, in class order, differentiable."""
        raise NotImplementedError

    def step_sizes(self) -> list[dict[str, object]]:
        """Parameter groups with their step sizes, as optimisers take them."""
        raise NotImplementedError
