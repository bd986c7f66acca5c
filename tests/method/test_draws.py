from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli.method.draws import uniform


@given(st.integers(1, 40), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_each_generator_draws_what_it_would_draw_alone(count: int, seeds: list[int]) -> None:
    """Also the second time, in which each goes on where it was."""
    together = [torch.Generator().manual_seed(seed) for seed in seeds]
    alone = [torch.Generator().manual_seed(seed) for seed in seeds]
    for _ in range(2):
        found = uniform(torch.empty(count * len(seeds)), together)
        assert torch.equal(found, torch.cat([uniform(torch.empty(count), generator) for generator in alone]))
        assert bool(((found >= 0) & (found < 1)).all())
