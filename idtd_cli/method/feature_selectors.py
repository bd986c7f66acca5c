"""Feature Selectors: K learnable modules per synthetic instance, each drawing one segment from the Feature Pool."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from idtd_cli.method.feature_pool import FeaturePool


class FeatureSelectors(nn.Module):
    """All C·I·K selectors at once.

    Selector (c, i, k) holds logits over the M entries, and a gain γ and an offset β per colour channel; its segment is
    z = γ · Σ_m softmax(logits / temperature)_m · P_m + β. The paper gives the selectors; this form is our choice.
    """

    def __init__(
        self, classes: int, instances: int, segments: int, pool: FeaturePool, *, temperature: float, sharpness: float
    ) -> None:
        """Start each selector on a pool entry of its own, with weight `sharpness` on it and the rest spread evenly.

        Raises:
            ValueError: the pool has fewer entries than there are selectors that share it.
        """
        super().__init__()
        shared = instances * segments * (classes if pool.groups == 1 else 1)
        if pool.size < shared:
            raise ValueError(f"{shared} selectors share a pool of {pool.size} entries; each needs one of its own")
        self.temperature = temperature
        own_CIK = torch.arange(classes * instances * segments).view(classes, instances, segments) % shared
        # softmax(lead, 0, …, 0) over M entries gives the first the weight `sharpness`.
        lead = temperature * math.log(sharpness * max(pool.size - 1, 1) / (1 - sharpness))
        self.logits_CIKM = nn.Parameter(lead * nn.functional.one_hot(own_CIK, pool.size).float())
        self.gain_CIK3 = nn.Parameter(torch.ones(classes, instances, segments, 3))
        self.offset_CIK3 = nn.Parameter(torch.zeros(classes, instances, segments, 3))

    def forward(self, pool: FeaturePool) -> Tensor:
        """The segments (N, K, 3, L, H, W), instances in class order."""
        weights_CIKM = torch.softmax(self.logits_CIKM / self.temperature, dim=-1)
        mixed = pool.mix(weights_CIKM)
        per_channel = (..., None, None, None)
        z_CIK3LHW = self.gain_CIK3[per_channel] * mixed + self.offset_CIK3[per_channel]
        return z_CIK3LHW.flatten(0, 1)
