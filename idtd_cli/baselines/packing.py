"""Clips one after another in a video, as the segments of IDTD are: the references get as much out of its frames."""

from __future__ import annotations

from torch import Tensor


def packed(clips_NS3HW: Tensor, clips_a_video: int) -> Tensor:
    """Every P = `clips_a_video` clips of S frames as one video of T = P·S frames: (N·P, S, …) → (N, T, …)."""
    videos_NT3HW: Tensor = clips_NS3HW.unflatten(0, (-1, clips_a_video)).flatten(1, 2)
    return videos_NT3HW
