"""What every network offers, be it a student or one that the matching losses look through."""

from __future__ import annotations

from torch import Tensor, nn


class Network(nn.Module):
    """Embeds clips and classifies embeddings.

    Clips are normalised, (B, 3, T, H, W); embeddings are (B, D) with D = `embedding_width`; scores are (B, C).
    """

    embedding_width: int

    def embed(self, x_B3THW: Tensor) -> Tensor:
        """What the matching losses compare, (B, D)."""
        raise NotImplementedError

    def classify(self, embedding_BD: Tensor) -> Tensor:
        """Class scores (B, C) of embeddings."""
        raise NotImplementedError

    def forward(self, x_B3THW: Tensor) -> Tensor:
        """Class scores (B, C) of clips."""
        return self.classify(self.embed(x_B3THW))
