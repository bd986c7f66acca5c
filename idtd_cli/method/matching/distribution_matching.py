"""Distribution matching (DM; Zhao & Bilen, arXiv 2110.04181): equal class means in random embeddings."""

from __future__ import annotations

from torch import Tensor


def distribution_matching(real_CBD: Tensor, synthetic_CVD: Tensor) -> Tensor:
    """Squared distance between the class means of the embeddings, summed over classes.

    Args:
        real_CBD: embeddings of B real clips of each class.
        synthetic_CVD: embeddings of V views of the synthetic videos of each class.
    """
    return (real_CBD.float().mean(1) - synthetic_CVD.float().mean(1)).square().sum()
