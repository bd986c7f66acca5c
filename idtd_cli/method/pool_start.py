"""What a Feature Pool starts from: pieces of real clips, or means of pieces that are alike."""

from __future__ import annotations

import torch
from torch import Tensor

from idtd_cli.method.clustering import cluster_means
from idtd_cli.method.real_clips import RealClips
from idtd_cli.recipe import PoolConfig

#: At most so many pieces of a class are clustered, and so many bytes of them, so that time and memory are bounded.
_MOST = 512
_MOST_BYTES = 1 << 30


def pool_start(
    real: RealClips, config: PoolConfig, selectors: int, span: float, frames: int, generator: torch.Generator
) -> Tensor:
    """The first entries of the pool, (G, M, L, 3, H, W) float in 0..255.

    Entries are those of one class each, and entry c·S + s of every S·C (of every S, with a group a class) is of
    class c: the selectors, that start on the entries in this order, start within their class in either scope.

    `start: clusters` takes the means of k-means clusters of each class's pieces: a mean keeps what the pieces share,
    which is what the class is about, and the clusters are unlike each other. The paper leaves the start open.

    Args:
        real: the training clips.
        config: scope, start and size of the pool.
        selectors: S, selectors of one class.
        span: share of a clip's time that a piece covers.
        frames: L, frames of a piece.
    """
    entries = config.entries_per_selector * selectors
    height, width = real.videos_NF3HW.shape[-2:]
    most = min(_MOST, _MOST_BYTES // (4 * frames * 3 * height * width))
    # To cluster, every clip of the class once; more often only where there are more entries than clips.
    pieces_C = [
        max(entries, min(count, most)) if config.start == "clusters" else entries for count in real.count_C.tolist()
    ]
    drawn_CS = real.draw(max(pieces_C), generator)
    started = []
    for index_S, pieces in zip(drawn_CS, pieces_C, strict=True):  # class by class: all pieces at once may not fit
        x_SL3HW = real.stretches(index_S[:pieces], span, frames, generator)
        if config.start == "clusters":
            means = cluster_means(x_SL3HW.flatten(1), entries, generator)
            x_SL3HW = means.view(entries, *x_SL3HW.shape[1:])
        started.append(x_SL3HW)
    entries_CM = torch.stack(started)
    if config.scope == "class":
        return entries_CM
    rounds: Tensor = entries_CM.unflatten(1, (config.entries_per_selector, selectors))
    return rounds.transpose(0, 1).flatten(0, 2).unsqueeze(0)
