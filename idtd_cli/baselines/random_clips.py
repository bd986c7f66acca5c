"""Random real clips: the simplest reference, and where pixel matching starts."""

from __future__ import annotations

import torch
from torch import Tensor

from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.temporal_augmentation import read, whole


def random_clips(real: RealClips, ipc: int, frames: int, generator: torch.Generator) -> Tensor:
    """`ipc` random real clips of each class, whole in T = `frames` frames: (N, T, 3, H, W) uint8, in class order."""
    index_N = real.draw(ipc, generator).flatten()
    return read(real.videos_NF3HW, whole(index_N), frames).round().to(torch.uint8)
