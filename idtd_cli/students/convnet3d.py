"""ConvNet3D, the student of the video-distillation field (as in yuz1wan/video_distillation, CVPR 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from idtd_cli.errors import InputError
from idtd_cli.method.network import Network
from idtd_cli.students.dropout import Dropout

#: The peers' max-pool after each block (time, height, width); a fourth block and later ones pool as the last.
_POOLS = ((1, 2, 2), (2, 2, 2), (2, 2, 2))


class ConvNet3D(Network):
    """Blocks of Conv3d, optional norm, ReLU and max-pool; then average pool, dropout, 1x1x1 conv, max over time.

    The defaults are the peers': three blocks, kernel 3x7x7, spatial stride 2, no norm. Frames below 64 pixels are too
    small for them: take stride 1 in some blocks and a smaller kernel there. `norm="group"` (four channels a group) is
    ours: without any norm the network learns motion very slowly.

    Raises:
        InputError: the clips are too short or too small to pass all blocks.
    """

    def __init__(
        self,
        classes: int,
        frames: int,
        height: int,
        width: int,
        *,
        widths: Sequence[int] = (64, 128, 128),
        kernel: tuple[int, int, int] = (3, 7, 7),
        strides: Sequence[int] = (2, 2, 2),
        norm: Literal["none", "group"] = "none",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels, size = 3, (frames, height, width)
        for depth, (out, stride) in enumerate(zip(widths, strides, strict=True)):
            pool = _POOLS[min(depth, len(_POOLS) - 1)]
            padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
            blocks.append(nn.Conv3d(channels, out, kernel, stride=(1, stride, stride), padding=padding))
            if norm == "group":
                blocks.append(nn.GroupNorm(max(1, out // 4), out))
            # The other way round than the peers, which gives the same numbers from a fourth of the values or less.
            blocks += [nn.MaxPool3d(pool), nn.ReLU()]
            channels = out
            size = (size[0] // pool[0], -(-size[1] // stride) // pool[1], -(-size[2] // stride) // pool[2])
            if min(size) < 1:
                raise InputError(
                    f"Clips of {frames} frames of {height}x{width} are too small for block {depth + 1} of convnet3d.",
                    "Take stride 1 in some blocks (strides), fewer blocks (widths), or larger clips.",
                )
        self.blocks = nn.Sequential(*blocks)
        across = 1 if max(height, width) <= 64 else 2
        average = (min(2, size[0]), min(across, size[1]), min(across, size[2]))
        self.average = nn.AvgPool3d(average, stride=1)
        self.dropout = Dropout(dropout)
        # The peers' 1x1x1 where one place is left; else one weight a place, so that the scores are one a moment.
        self.head = nn.Conv3d(channels, classes, (1, size[1] - average[1] + 1, size[2] - average[2] + 1))
        #: D, the width of `embed`.
        self.embedding_width = channels * size[0] * size[1] * size[2]
        self._shape = (channels, *size)

    def embed(self, x_B3THW: Tensor) -> Tensor:
        """The flattened output of the last block, (B, D): what the matching losses compare."""
        return torch.flatten(self.blocks(x_B3THW), 1)

    def classify(self, embedding_BD: Tensor) -> Tensor:
        return self._scores(embedding_BD.unflatten(1, self._shape))

    def forward(self, x_B3THW: Tensor) -> Tensor:
        """Class scores (B, C) of normalised clips (B, 3, T, H, W)."""
        return self._scores(self.blocks(x_B3THW))  # not by way of `embed`, which costs the channels-last layout

    def _scores(self, features_BDTHW: Tensor) -> Tensor:
        scores_BCT: Tensor = self.head(self.dropout(self.average(features_BDTHW))).flatten(2)
        return scores_BCT.amax(dim=2)
