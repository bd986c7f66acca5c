"""Random real clips: the simplest reference, and where pixel matching starts."""

from __future__ import annotations

import torch
from torch import Tensor

from idtd_cli.method.real_clips import RealClips


def random_clips(real: RealClips, ipc: int, frames: int, generator: torch.Generator) -> Tensor:
    """`ipc` random real clips of each class, whole in `frames` frames: (N, T, 3, H, W) uint8, in class order."""
    return real.whole(real.draw(ipc, generator).flatten(), frames)
