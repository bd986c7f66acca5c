"""k-means: the few means that stand for many pieces of video with the least squared error."""

from __future__ import annotations

import torch
from torch import Tensor

#: Lloyd's iterations; on video they settle well before.
_ITERATIONS = 50


def cluster_means(x_SE: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Means (M, E) of a partition of S points into M clusters, none of them empty.

    Starts from points drawn by k-means++ (Arthur & Vassilvitskii, 2007), then Lloyd's iterations until nothing moves.

    Raises:
        ValueError: more clusters than points.
    """
    points = len(x_SE)
    if clusters > points:
        raise ValueError(f"{clusters} clusters of {points} points")
    centres = _spread_out(x_SE, clusters, generator)
    nearest_S = torch.full((points,), -1, device=x_SE.device)
    for _ in range(_ITERATIONS):
        # By differences: by products, the distances of points that are nearly alike drown in rounding.
        distance_SM = torch.cdist(x_SE, centres, compute_mode="donot_use_mm_for_euclid_dist")
        before, nearest_S = nearest_S, _none_empty(distance_SM)
        if torch.equal(before, nearest_S):
            break
        member_SM = torch.nn.functional.one_hot(nearest_S, clusters).to(x_SE.dtype)
        centres = (member_SM / member_SM.sum(0)).T @ x_SE
    return centres


def _spread_out(x_SE: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Points drawn one after another, each with chances in proportion to its squared distance to those drawn."""
    chosen = torch.randint(len(x_SE), (1,), generator=generator, device=x_SE.device)
    squared_S = torch.full((len(x_SE),), torch.inf, device=x_SE.device, dtype=x_SE.dtype)
    for _ in range(clusters - 1):
        squared_S = torch.minimum(squared_S, (x_SE - x_SE[chosen[-1]]).square().sum(1))
        # Where all points left are copies of drawn ones, any of those left will do.
        chances = squared_S if squared_S.any() else torch.ones_like(squared_S).index_fill(0, chosen, 0)
        chosen = torch.cat([chosen, torch.multinomial(chances, 1, generator=generator)])
    return x_SE[chosen]


def _none_empty(distance_SM: Tensor) -> Tensor:
    """The nearest centre of each point; a centre that is nearest to none takes the point that fits its own worst."""
    nearest_S = distance_SM.argmin(1)
    misfit_S = distance_SM.gather(1, nearest_S[:, None]).squeeze(1)
    sizes_M = torch.bincount(nearest_S, minlength=distance_SM.shape[1])
    for empty in (sizes_M == 0).nonzero().flatten():
        misfit_S = misfit_S.masked_fill(sizes_M[nearest_S] < 2, -1)
        moved = misfit_S.argmax()
        sizes_M[nearest_S[moved]] -= 1
        sizes_M[empty] += 1
        nearest_S[moved], misfit_S[moved] = empty, -1
    return nearest_S
