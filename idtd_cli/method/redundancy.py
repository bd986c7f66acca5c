"""Redundancy of a video set: how alike the clips of a class are, and the frames of a clip.

These are the axes of the paper's Figure 4. Its measure is not known to us; this one is our choice: the cosine between
embeddings, less the mean embedding of the set. In random networks that mean is most of every embedding, and without
taking it off all videos look alike. So 1 is said of copies, and 0 of what is no more alike than the set as a whole.

With x_i the embeddings of n clips of a class, m_c the mean of class c, and m the mean of all m_c (each class counts the
same, whatever its size):

    u_i = (x_i - m) / |x_i - m|        inter-sample = mean of u_i · u_j over i ≠ j = (|Σ u_i|² - n) / n(n - 1)

Within-sample redundancy is the same of the frames of one clip, averaged over the clips of the class.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def inter_sample(clips_C: Sequence[Tensor]) -> Tensor:
    """Redundancy between the clips of each class, (C,) in -1..1; NaN for a class of one clip.

    Args:
        clips_C: embeddings of each class's clips, (n, D) each, of two classes or more: of one class alone, the mean
            that is taken off is that of the very clips compared, and what is left says nothing.
    """
    return _similarity([x_ND.unsqueeze(0) for x_ND in clips_C])


def within_sample(frames_C: Sequence[Tensor]) -> Tensor:
    """Redundancy between the frames of a clip, mean over each class's clips, (C,) in -1..1; NaN for clips of one frame.

    Args:
        frames_C: embeddings of the frames of each class's clips, (n, F, D) each.
    """
    return _similarity(frames_C)


def _similarity(groups_C: Sequence[Tensor]) -> Tensor:
    """For each class, (G, P, D) each: mean cosine over the pairs of the P vectors of a group, mean over its groups."""
    mean_D = torch.stack([x_GPD.mean((0, 1)) for x_GPD in groups_C]).mean(0)
    return torch.stack([_mean_cosine(x_GPD - mean_D).mean() for x_GPD in groups_C])


def _mean_cosine(x_GPD: Tensor) -> Tensor:
    """Mean over all pairs of P vectors, from the length of the sum of their unit vectors: no P×P matrix."""
    groups, vectors = x_GPD.shape[:2]
    if vectors == 1:
        return torch.full((groups,), torch.nan)
    sum_GD = torch.nn.functional.normalize(x_GPD.double(), dim=-1).sum(1)
    return (sum_GD.square().sum(-1) - vectors) / (vectors * (vectors - 1))
