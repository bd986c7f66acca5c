"""Diversity loss: keeps the K segments of an instance apart, so that together they represent the original data."""

from __future__ import annotations

import torch
from torch import Tensor


def diversity_loss(embedding_NKD: Tensor, centre_D: Tensor) -> Tensor:
    """Mean over the pairs k ≠ k' of max(0, cos(φ(z_nk), φ(z_nk'))); 0 where K = 1.

    φ is the embedding that the matching step is using, less its mean over the real clips: after a ReLU all embeddings
    point the same way, and only what sets them apart from that mean can be diverse. The paper gives a loss that makes
    the segments diverse; this form is our choice.

    Args:
        embedding_NKD: embeddings of the K segments of N instances.
        centre_D: mean embedding of real clips.
    """
    segments = embedding_NKD.shape[1]
    if segments == 1:
        return embedding_NKD.new_zeros(())
    unit_NKD = torch.nn.functional.normalize(embedding_NKD.float() - centre_D.float(), dim=-1)
    cosine_NKK = unit_NKD @ unit_NKD.transpose(1, 2)
    pairs = ~torch.eye(segments, dtype=torch.bool, device=cosine_NKK.device)
    return cosine_NKK[:, pairs].clamp(min=0).mean()
