"""Pixel matching: the synthetic videos are their own pixels, as image methods (DM, DC, MTT) do on video."""

from __future__ import annotations

from torch import Tensor, nn

from idtd_cli.recipe import PixelConfig


class PixelVideos(nn.Module):
    """N videos (N, T, 3, H, W) as one learnable variable, normalised; no segments, no diversity loss."""

    segments = 1
    diversity = 0.0

    def __init__(self, config: PixelConfig, clips_NT3HW: Tensor) -> None:
        """Start from real clips, normalised, in class order."""
        super().__init__()
        self.config = config
        self.videos_NT3HW = nn.Parameter(clips_NT3HW.clone())

    def forward(self) -> Tensor:
        return self.videos_NT3HW

    def step_sizes(self) -> list[dict[str, object]]:
        return [{"params": [self.videos_NT3HW], "lr": self.config.step_size}]
