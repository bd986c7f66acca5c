"""Dropout whose masks come from generators, so that students that train at once draw what each would alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """As torch's, to the bit on a CPU; of S students, the channels of each get the mask of its own generator."""

    #: of each student, in the order of their channels; None: torch's own
    generators: Sequence[torch.Generator | None] = (None,)

    def forward(self, x_BD: Tensor) -> Tensor:
        """
        Args:
            x_BD: (B, S·D, …).
        """
        if not self.training or self.p == 0:
            return x_BD
        parts = zip(x_BD.chunk(len(self.generators), 1), self.generators, strict=True)
        masks = [torch.empty_like(part).bernoulli_(1 - self.p, generator=generator) for part, generator in parts]
        mask_BD = masks[0] if len(masks) == 1 else torch.cat(masks, 1)
        return x_BD * mask_BD.div_(1 - self.p)


@contextmanager
def masks_from(generators: Sequence[torch.Generator], network: nn.Module) -> Iterator[None]:
    """Meanwhile, the masks of a network come from these."""
    layers = [layer for layer in network.modules() if isinstance(layer, Dropout)]
    for layer in layers:
        layer.generators = generators
    try:
        yield
    finally:
        for layer in layers:
            layer.generators = Dropout.generators
