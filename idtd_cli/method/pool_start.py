"""What synthetic videos start from: pieces of real clips, or means of pieces that are alike."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from idtd_cli.method.clustering import cluster_means
from idtd_cli.method.real_clips import RealClips
from idtd_cli.recipe import PoolConfig

#: At most so many pieces of a class are clustered, and so many bytes of them or of their clips, so that time and memory
#: are bounded.
_MOST = 512
_MOST_BYTES = 1 << 30


def first_pieces(
    real: RealClips,
    start: Literal["clusters", "random"],
    count: int,
    span: float,
    frames: int,
    generator: torch.Generator,
) -> Tensor:
    """Pieces of each class, (C, M, L, 3, H, W) float in 0..255.

    `clusters` takes the means of k-means clusters of each class's pieces: a mean keeps what the pieces share, which is
    what the class is about, and the clusters are unlike each other. The paper leaves the start open.

    Args:
        real: the training clips.
        start: pieces of random clips as they are, or means of clusters.
        count: M, pieces of a class.
        span: share of a clip's time that a piece covers.
        frames: L, frames of a piece.
    """
    stored_frames, _, height, width = real.videos_NF3HW.shape[1:]
    most = min(_MOST, _MOST_BYTES // (max(4 * frames, stored_frames) * 3 * height * width))
    # To cluster, every clip of the class once; more often only where more pieces are wanted than there are clips.
    drawn_C = [max(count, min(clips, most)) if start == "clusters" else count for clips in real.count_C.tolist()]
    index_CS = real.draw(max(drawn_C), generator)
    found = []
    for index_S, drawn in zip(index_CS, drawn_C, strict=True):  # class by class: all pieces at once may not fit
        x_SL3HW = real.stretches(index_S[:drawn], span, frames, generator)
        if start == "clusters":
            x_SL3HW = cluster_means(x_SL3HW.flatten(1), count, generator).view(count, *x_SL3HW.shape[1:])
        found.append(x_SL3HW)
    return torch.stack(found)


def pool_start(
    real: RealClips, config: PoolConfig, selectors: int, span: float, frames: int, generator: torch.Generator
) -> Tensor:
    """The first entries of the pool, (G, M, L, 3, H, W) float in 0..255.

    Entries are those of one class each, and entry c·S + s of every S·C (of every S, with a group a class) is of
    class c: the selectors, that start on the entries in this order, start within their class in either scope.

    Args:
        real: the training clips.
        config: scope, start and size of the pool.
        selectors: S, selectors of one class.
        span: share of a clip's time that a piece covers.
        frames: L, frames of a piece.
    """
    count = config.entries_per_selector * selectors
    entries_CM = first_pieces(real, config.start, count, span, frames, generator)
    if config.scope == "class":
        return entries_CM
    rounds: Tensor = entries_CM.unflatten(1, (config.entries_per_selector, selectors))
    return rounds.transpose(0, 1).flatten(0, 2).unsqueeze(0)
