"""Pixel matching: the synthetic videos are their own pixels, as image methods (DM, DC, MTT) do on video."""

from __future__ import annotations

from torch import Tensor, nn

from idtd_cli.method.parametrisation import Parametrisation
from idtd_cli.recipe import PixelConfig


class PixelVideos(Parametrisation):
    """N videos (N, T, 3, H, W) as one learnable variable, normalised; of one piece, or packed of K without a fusor."""

    def __init__(self, config: PixelConfig, pieces_NK3LHW: Tensor) -> None:
        """Start from pieces of real clips, normalised, in class order; T = K·L."""
        super().__init__()
        self.config = config
        self.segments = config.segments
        self.videos_NT3HW = nn.Parameter(pieces_NK3LHW.transpose(2, 3).flatten(1, 2).clone())

    def forward(self) -> Tensor:
        return self.videos_NT3HW

    def step_sizes(self) -> list[dict[str, object]]:
        return [{"params": [self.videos_NT3HW], "lr": self.config.step_size}]
