"""R3D-18 and R(2+1)D-18.

Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018. Weights are as many as
those of the published networks; for so few clips they always start at random.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from idtd_cli.method.network import Network
from idtd_cli.students.dropout import Dropout

_WIDTHS = (64, 128, 256, 512)


def _convolution(kind: Literal["3d", "2+1d"], channels: int, middle: int, out: int, stride: int) -> nn.Module:
    """3×3×3; or 1×3×3 to a `middle` of channels, norm, ReLU and 3×1×1."""
    if kind == "3d":
        return nn.Conv3d(channels, out, 3, stride, 1, bias=False)
    return nn.Sequential(
        nn.Conv3d(channels, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
        nn.BatchNorm3d(middle),
        nn.ReLU(inplace=True),
        nn.Conv3d(middle, out, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    )


class _Block(nn.Module):
    """Two convolutions, and the input added to what they give."""

    def __init__(self, kind: Literal["3d", "2+1d"], channels: int, out: int, stride: int) -> None:
        super().__init__()
        # As many weights as 3×3×3 would have (section 3.4); the second takes the middle of the first, as published.
        middle = channels * out * 27 // (channels * 9 + 3 * out)
        self.first = nn.Sequential(
            _convolution(kind, channels, middle, out, stride), nn.BatchNorm3d(out), nn.ReLU(inplace=True)
        )
        self.second = nn.Sequential(_convolution(kind, out, middle, out, 1), nn.BatchNorm3d(out))
        self.shortcut = (
            nn.Identity()
            if stride == 1 and channels == out
            else nn.Sequential(nn.Conv3d(channels, out, 1, stride, bias=False), nn.BatchNorm3d(out))
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x)) + self.shortcut(x)
        return y.relu_()


class ResNet3D(Network):
    """Stem, four stages of two blocks, mean over time and space, linear."""

    def __init__(self, kind: Literal["3d", "2+1d"], classes: int, dropout: float) -> None:
        super().__init__()
        if kind == "3d":
            stem: list[nn.Module] = [nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False)]
        else:
            stem = [
                nn.Conv3d(3, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
                nn.BatchNorm3d(45),
                nn.ReLU(inplace=True),
                nn.Conv3d(45, 64, (3, 1, 1), 1, (1, 0, 0), bias=False),
            ]
        blocks: list[nn.Module] = [*stem, nn.BatchNorm3d(64), nn.ReLU(inplace=True)]
        channels = 64
        for stage, out in enumerate(_WIDTHS):
            blocks += [_Block(kind, channels, out, 1 if stage == 0 else 2), _Block(kind, out, out, 1)]
            channels = out
        self.blocks = nn.Sequential(*blocks, nn.AdaptiveAvgPool3d(1))
        self.embedding_width = channels
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(channels, classes)

    def embed(self, x_B3THW: Tensor) -> Tensor:
        """The mean over time and space of the last stage, (B, 512)."""
        return self.blocks(x_B3THW).flatten(1)  # type: ignore[no-any-return]

    def classify(self, embedding_BD: Tensor) -> Tensor:
        return self.head(self.dropout(embedding_BD))  # type: ignore[no-any-return]
