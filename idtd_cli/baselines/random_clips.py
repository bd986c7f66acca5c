"""Random real clips: the simplest reference, and where pixel matching starts."""

from __future__ import annotations

import torch
from torch import Tensor

from idtd_cli.baselines.packing import packed
from idtd_cli.method.real_clips import RealClips


def random_clips(real: RealClips, ipc: int, frames: int, generator: torch.Generator, clips_a_video: int = 1) -> Tensor:
    """Random real clips of each class, whole in `frames` frames: (N, T, 3, H, W) uint8, in class order.

    Args:
        real: the clips.
        ipc: I, videos a class.
        frames: of a clip.
        generator: of the draw.
        clips_a_video: P; a video is so many clips, one after another, and has T = P · `frames` frames.
    """
    return packed(real.whole(real.draw(ipc * clips_a_video, generator).flatten(), frames), clips_a_video)
