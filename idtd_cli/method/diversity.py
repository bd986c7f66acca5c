"""Diversity loss: keeps the K segments of an instance apart, so that together they represent the original data."""

from __future__ import annotations

import torch
from torch import Tensor


def diversity_loss(embedding_NKD: Tensor, centre_N1D: Tensor) -> Tensor:
    """Mean over the pairs k ≠ k' of max(0, cos(φ(z_nk), φ(z_nk'))); 0 where K = 1.

    φ is the embedding that the matching step is using, less its mean over the real clips of the class: segments
    are to differ from each other as clips of the class do, not to leave the class. The paper gives a loss that makes
    the segments diverse; this form is our choice.

    Args:
        embedding_NKD: embeddings of the K segments of N instances.
        centre_N1D: mean embedding of the real clips of each instance's class.
    """
    segments = embedding_NKD.shape[1]
    if segments == 1:
        return embedding_NKD.new_zeros(())
    unit_NKD = torch.nn.functional.normalize(embedding_NKD.float() - centre_N1D.float(), dim=-1)
    cosine_NKK = unit_NKD @ unit_NKD.transpose(1, 2)
    # All but the diagonal, by strides alone: a mask would make the host wait for the device.
    pairs: Tensor = cosine_NKK.flatten(1)[:, 1:].unflatten(1, (segments - 1, segments + 1))[..., :-1]
    return pairs.clamp(min=0).mean()
