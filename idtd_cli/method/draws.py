"""Random numbers of one generator, or of several that each draw a part of them as they would alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

#: One generator; or several, for equal parts of what is drawn, one part after another.
Generators: TypeAlias = torch.Generator | Sequence[torch.Generator]


def uniform(for_B: Tensor, generators: Generators) -> Tensor:
    """A number in 0..1 for each entry of a tensor, on its device."""
    if isinstance(generators, torch.Generator):
        return torch.rand(for_B.shape, generator=generators, device=for_B.device)
    parts = zip(for_B.chunk(len(generators)), generators, strict=True)
    return torch.cat([torch.rand(part.shape, generator=generator, device=part.device) for part, generator in parts])
