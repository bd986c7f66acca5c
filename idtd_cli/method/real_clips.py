"""Real training clips, and how a step draws from them."""

from __future__ import annotations

import torch
from torch import Tensor

from idtd_cli.method.streamed_clips import Clips
from idtd_cli.method.temporal_augmentation import Views, read, whole


class RealClips:
    """Stored clips sorted by class. They stay uint8; `read` and the normalisation work on the few that a step draws."""

    def __init__(self, videos_NF3HW: Clips, labels_N: Tensor, classes: int) -> None:
        """
        Raises:
            ValueError: the clips are not sorted by class, or a class has none.
        """
        self.videos_NF3HW = videos_NF3HW
        self.labels_N = labels_N
        self.count_C = torch.bincount(labels_N, minlength=classes)
        self.first_C = self.count_C.cumsum(0) - self.count_C
        self._largest = int(self.count_C.max())
        if (labels_N.diff() < 0).any() or (self.count_C == 0).any():
            raise ValueError("clips must be sorted by class, and every class needs one")

    @property
    def classes(self) -> int:
        """C."""
        return len(self.count_C)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Indices (C, count) of random clips of each class; a class repeats a clip only after all of it was drawn."""
        device = self.count_C.device
        keys = torch.rand(self.classes, self._largest, generator=generator, device=device)
        beyond = torch.arange(self._largest, device=device) >= self.count_C[:, None]
        order = keys.masked_fill(beyond, 2).argsort(dim=1)
        turn_CB = torch.arange(count, device=device) % self.count_C[:, None]
        return self.first_C[:, None] + order.gather(1, turn_CB)

    def whole(self, index_B: Tensor, frames: int) -> Tensor:
        """Clips from their first to their last frame, as a distilled set stores them: (B, T, 3, H, W) uint8."""
        return read(self.videos_NF3HW, whole(index_B), frames).round().to(torch.uint8)

    def stretches(self, index_B: Tensor, span: float, frames: int, generator: torch.Generator) -> Tensor:
        """A stretch of each clip, from a random start: (B, L, 3, H, W) float in 0..255.

        Args:
            index_B: clips.
            span: share of a clip's time that a stretch covers.
            frames: L, frames of a stretch.
        """
        start_B = torch.rand(index_B.shape, generator=generator, device=index_B.device) * (1 - span)
        return read(self.videos_NF3HW, Views(index_B, start_B, start_B + span, shortest=span), frames).float()
