"""Distribution matching (DM; Zhao & Bilen, arXiv 2110.04181): equal class means in random embeddings."""

from __future__ import annotations

from torch import Tensor


def distribution_matching(real_CBD: Tensor, synthetic_CVD: Tensor, common: float = 1.0) -> Tensor:
    """Squared distance between the class means of the embeddings, summed over classes.

    The difference of the means has a part that is common to all classes and a part in which the classes differ. In
    random networks the common part is the larger one by far, and a network trained on the synthetic videos cannot
    use it: it says how real and synthetic videos differ, not how classes do. Its weight is our addition.

    Args:
        real_CBD: embeddings of B real clips of each class.
        synthetic_CVD: embeddings of V views of the synthetic videos of each class.
        common: weight of the common part; 1 is DM as published, 0 leaves the differences between classes alone.
    """
    difference_CD = real_CBD.float().mean(1) - synthetic_CVD.float().mean(1)
    common_1D = difference_CD.mean(0, keepdim=True)
    own = (difference_CD - common_1D).square().sum()
    return own + common * len(difference_CD) * common_1D.square().sum()
