"""CNN+GRU and CNN+LSTM: a 2-D ConvNet on every frame, and a recurrent layer over time.

The field's cross-architecture students (as in yuz1wan/video_distillation, CVPR 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from idtd_cli.errors import InputError
from idtd_cli.method.network import Network
from idtd_cli.students.dropout import Dropout

#: The recurrent layer sees at most so many places of a frame on each side: at 112×112 it would have more weights than
#: all else a hundred times over, as the peers' has.
_PLACES = 4


class FrameRecurrent(Network):
    """Blocks of Conv2d, optional norm, ReLU and average-pool on each frame; GRU or LSTM; mean over time; linear.

    Raises:
        InputError: the frames are too small to pass all blocks.
    """

    def __init__(
        self,
        cell: Literal["gru", "lstm"],
        classes: int,
        height: int,
        width: int,
        *,
        widths: Sequence[int],
        kernel: tuple[int, int],
        strides: Sequence[int],
        norm: Literal["none", "group"],
        dropout: float,
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels, size = 3, (height, width)
        for depth, (out, stride) in enumerate(zip(widths, strides, strict=True), start=1):
            blocks.append(nn.Conv2d(channels, out, kernel, stride, (kernel[0] // 2, kernel[1] // 2)))
            if norm == "group":
                blocks.append(nn.GroupNorm(max(1, out // 4), out))
            blocks += [nn.ReLU(), nn.AvgPool2d(2)]
            channels, size = out, (-(-size[0] // stride) // 2, -(-size[1] // stride) // 2)
            if min(size) < 1:
                raise InputError(
                    f"Frames of {height}x{width} are too small for block {depth} of cnn-{cell}.",
                    "Take stride 1 in some blocks (strides), fewer blocks (widths), or larger clips.",
                )
        places = (min(_PLACES, size[0]), min(_PLACES, size[1]))
        self.blocks = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(places))
        self.embedding_width = channels
        layer = nn.GRU if cell == "gru" else nn.LSTM
        self.recurrent = layer(channels * places[0] * places[1], channels, batch_first=True)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(channels, classes)

    def embed(self, x_B3THW: Tensor) -> Tensor:
        """The mean over time of what the recurrent layer gives, (B, D)."""
        frames = x_B3THW.shape[2]
        x_N3HW = x_B3THW.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features_BTF = self.blocks(x_N3HW).flatten(1).unflatten(0, (-1, frames))
        mean_BD: Tensor = self.recurrent(features_BTF)[0].mean(1)
        return mean_BD

    def classify(self, embedding_BD: Tensor) -> Tensor:
        scores_BC: Tensor = self.head(self.dropout(embedding_BD))
        return scores_BC
