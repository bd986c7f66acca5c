"""Between clips at rest (uint8, frames first) and what the networks see (normalised, channels first)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

#: Mean and standard deviation of ImageNet's images, in 0..1, which the peers normalise their clips by.
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Normalisation:
    """Per-channel standardisation by the mean and standard deviation of the real training clips, in 0..1."""

    def __init__(self, mean_3: Sequence[float], std_3: Sequence[float], device: str) -> None:
        self._mean_311 = torch.tensor(mean_3, device=device)[:, None, None] * 255
        self._std_311 = torch.tensor(std_3, device=device)[:, None, None].clamp(min=1e-3) * 255
        self._scale_311, self._shift_311 = 1 / self._std_311, -self._mean_311 / self._std_311

    def normalise(self, clips_BT3HW: Tensor) -> Tensor:
        """0..255 → zero mean, unit variance; the layout stays."""
        return torch.addcmul(self._shift_311, clips_BT3HW.float(), self._scale_311)  # in one pass over memory

    def batch(self, clips_BT3HW: Tensor, students: int = 1) -> Tensor:
        """A batch of clips, 0..255, as a student sees it; or the batches of several students, one after another."""
        return self.normalise(clips_BT3HW)

    def to_uint8(self, clips_BT3HW: Tensor) -> Tensor:
        """Normalised → 0..255, rounded and clipped to what a file can hold."""
        return (clips_BT3HW * self._std_311 + self._mean_311).round().clamp(0, 255).to(torch.uint8)


class PeerNormalisation(Normalisation):
    """As the peers do (yuz1wan/video_distillation): by ImageNet's mean and deviation, and then each batch by its own.

    What is said of a video then depends a little on the others of its batch.
    """

    def __init__(self, device: str) -> None:
        super().__init__(*IMAGENET, device)

    def batch(self, clips_BT3HW: Tensor, students: int = 1) -> Tensor:
        batches = [(clips - clips.mean()) / clips.std() for clips in self.normalise(clips_BT3HW).chunk(students)]
        return batches[0] if students == 1 else torch.cat(batches)


def for_network(clips_BT3HW: Tensor) -> Tensor:
    """(B, T, 3, H, W) → (B, 3, T, H, W), channels last in memory: twice as fast in the 3-D convolutions."""
    return clips_BT3HW.transpose(1, 2).contiguous(memory_format=torch.channels_last_3d)
