"""Which frames of a video are stored."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from idtd_cli.recipe import ClipConfig


def indices(frames: int, clip: ClipConfig, video_id: str) -> NDArray[np.int64]:
    """The frames to store of a video of `frames` frames: (stored_frames,) indices, never decreasing, in 0..frames-1.

    `uniform` takes the middles of equal parts of the video and so repeats frames of a short one. `strided` takes every
    `stride`-th frame from a start that `video_id` alone decides, so that preparing again draws the same one. With
    several draws each has a start of its own, and they follow each other: the indices never decrease within a draw.

    Raises:
        ValueError: the video has no frames.
    """
    if frames < 1:
        raise ValueError("a video without frames has no indices")
    if clip.sampling == "uniform":
        return _uniform(frames, clip.stored_frames)
    return np.concatenate(
        [_strided(frames, clip, f"{video_id}#{draw}" if draw else video_id) for draw in range(clip.draws)]
    )


def _uniform(frames: int, stored: int) -> NDArray[np.int64]:
    # Python's integers: a frame count that a hostile file declares must not overflow.
    return np.array([(2 * part + 1) * frames // (2 * stored) for part in range(stored)], dtype=np.int64)


def _strided(frames: int, clip: ClipConfig, name: str) -> NDArray[np.int64]:
    stored = clip.drawn_frames
    stride = clip.stride if frames >= stored * clip.stride else max(1, frames // stored)
    span = (stored - 1) * stride + 1
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    start = int(rng.integers(0, max(0, frames - span) + 1))
    return np.minimum(start + stride * np.arange(stored, dtype=np.int64), frames - 1)
