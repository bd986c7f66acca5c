"""A small video transformer: tubelets attend to each other (ViViT's model 1; Arnab et al., ICCV 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from idtd_cli.errors import InputError
from idtd_cli.method.network import Network
from idtd_cli.students.dropout import Dropout

_WIDTH, _HEADS, _DEPTH = 192, 3, 4
#: Frames of a tubelet, and pixels on each side: of small frames, and of those above 64 pixels.
_FRAMES, _SMALL, _LARGE = 2, 8, 16


class VideoTransformer(Network):
    """Tubelet embedding with learnt places, pre-norm encoder layers, mean over all tokens, linear.

    Raises:
        InputError: a clip holds no whole tubelet.
    """

    def __init__(self, classes: int, frames: int, height: int, width: int, dropout: float) -> None:
        super().__init__()
        side = _SMALL if max(height, width) <= 64 else _LARGE
        tubelet = (min(_FRAMES, frames), side, side)
        count = (frames // tubelet[0]) * (height // side) * (width // side)
        if count == 0:
            raise InputError(
                f"Frames of {height}x{width} hold no patch of {side}x{side} pixels, as transformer sees.",
                "Take larger clips, or another student.",
            )
        self.tubelets = nn.Conv3d(3, _WIDTH, tubelet, tubelet)
        self.places_LD = nn.Parameter(0.02 * torch.randn(count, _WIDTH))
        layer = nn.TransformerEncoderLayer(
            _WIDTH, _HEADS, 4 * _WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, _DEPTH, nn.LayerNorm(_WIDTH), enable_nested_tensor=False)
        self.embedding_width = _WIDTH
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(_WIDTH, classes)

    def embed(self, x_B3THW: Tensor) -> Tensor:
        """The mean of all tokens after the last layer, (B, D)."""
        tokens_BLD = self.tubelets(x_B3THW).flatten(2).transpose(1, 2)
        mean_BD: Tensor = self.layers(tokens_BLD + self.places_LD).mean(1)
        return mean_BD

    def classify(self, embedding_BD: Tensor) -> Tensor:
        scores_BC: Tensor = self.head(self.dropout(embedding_BD))
        return scores_BC
