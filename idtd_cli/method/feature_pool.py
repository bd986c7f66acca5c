"""Feature Pool: one learnable variable, shared; synthetic instances draw on it (IDTD, information diversification)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FeaturePool(nn.Module):
    """The pool P of shape (G, M, 3, L, H, W): M short pieces of video for each of G groups.

    G is the number of classes (scope "class": a class draws on its own entries) or 1 (scope "dataset": all classes
    draw on the same ones). The shape and the scopes are our choice; the paper gives the shared variable.
    """

    def __init__(self, entries_GM3LHW: Tensor) -> None:
        """Start from segments of real clips, normalised, (G, M, 3, L, H, W)."""
        super().__init__()
        self.entries_GM3LHW = nn.Parameter(entries_GM3LHW.clone())

    @property
    def groups(self) -> int:
        return self.entries_GM3LHW.shape[0]

    @property
    def size(self) -> int:
        """M, the number of entries of a group."""
        return self.entries_GM3LHW.shape[1]

    def mix(self, weights_CIKM: Tensor) -> Tensor:
        """Weighted sums of entries, (C, I, K, 3, L, H, W); class c draws on group c, or on the only one."""
        entries = self.entries_GM3LHW.expand(weights_CIKM.shape[0], *self.entries_GM3LHW.shape[1:])
        return torch.einsum("cikm,cmdlhw->cikdlhw", weights_CIKM, entries)
