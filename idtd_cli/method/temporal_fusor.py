"""Temporal Fusor: one learnable module that joins the K segments of an instance into one video."""

from __future__ import annotations

from torch import Tensor, nn


class TemporalFusor(nn.Module):
    """Lays the segments along time and adds a residual from a small 3-D convolutional network.

    The last convolution starts at zero, so the fusor starts as plain concatenation and learns the joins. The paper
    gives the module; this form is our choice.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = nn.Conv3d(channels, 3, 3, padding=1)
        nn.init.zeros_(last.weight)
        assert last.bias is not None
        nn.init.zeros_(last.bias)
        self.residual = nn.Sequential(nn.Conv3d(3, channels, 3, padding=1), nn.GELU(), last)

    def forward(self, z_NK3LHW: Tensor) -> Tensor:
        """Videos (N, 3, T, H, W) with T = K·L."""
        along_time = z_NK3LHW.transpose(1, 2).flatten(2, 3)
        video_N3THW: Tensor = along_time + self.residual(along_time)
        return video_N3THW
