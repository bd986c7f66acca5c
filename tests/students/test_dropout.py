from __future__ import annotations

import pytest
import torch
from torch import nn

from idtd_cli.students.dropout import Dropout, masks_from

SEEDS = (3, 0)


@pytest.mark.parametrize("shape", [(4, 6), (3, 8, 2, 2, 2)])
def test_dropout_is_torchs_to_the_bit(shape: tuple[int, ...]) -> None:
    """Also where channels are last in memory, and for each of several students."""
    x = torch.randn(shape)
    if len(shape) == 5:
        x = x.contiguous(memory_format=torch.channels_last_3d)
    theirs = []
    for part, seed in zip(x.chunk(2, 1), SEEDS, strict=True):
        torch.manual_seed(seed)
        theirs.append(nn.Dropout(0.3)(part.clone()))
    ours = Dropout(0.3)
    with masks_from([torch.Generator().manual_seed(seed) for seed in SEEDS], ours):
        assert torch.equal(ours(x), torch.cat(theirs, 1))
    torch.manual_seed(1)
    one = ours(x)
    torch.manual_seed(1)
    assert torch.equal(one, nn.Dropout(0.3)(x))
    assert torch.equal(ours.eval()(x), x)
