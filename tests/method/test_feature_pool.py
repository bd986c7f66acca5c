from __future__ import annotations

import torch

from idtd_cli.method.feature_pool import FeaturePool

C, IPC, K, M = 3, 2, 2, 4


def entries(groups: int) -> torch.Tensor:
    return torch.randn(groups, M, 3, 2, 5, 4, generator=torch.Generator().manual_seed(0))


def test_a_class_draws_on_its_own_group() -> None:
    pool = FeaturePool(entries(C))
    assert (pool.groups, pool.size) == (C, M)
    weights = torch.zeros(C, IPC, K, M)
    weights[1, 0, 1, 3] = 1
    mixed = pool.mix(weights)
    assert mixed.shape == (C, IPC, K, 3, 2, 5, 4)
    assert torch.equal(mixed[1, 0, 1], pool.entries_GM3LHW[1, 3])
    assert mixed.flatten(3).any(-1).nonzero().tolist() == [[1, 0, 1]]


def test_all_classes_draw_on_the_only_group() -> None:
    pool = FeaturePool(entries(1))
    assert (pool.groups, pool.size) == (1, M)
    weights = torch.eye(M).reshape(2, 1, 2, M)
    assert torch.equal(pool.mix(weights).flatten(0, 2), pool.entries_GM3LHW[0])


def test_weights_sum_entries() -> None:
    pool = FeaturePool(entries(C))
    weights = torch.rand(C, IPC, K, M, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([weights[2, 1, 0, m] * pool.entries_GM3LHW[2, m] for m in range(M)]).sum(0)
    torch.testing.assert_close(pool.mix(weights)[2, 1, 0], expected)


def test_an_entry_learns_as_much_as_it_is_used() -> None:
    pool = FeaturePool(entries(1))
    weights = torch.tensor([1.0, 0.5, 0.0, 0.0]).expand(C, IPC, K, M)
    pool.mix(weights).sum().backward()
    assert pool.entries_GM3LHW.grad is not None
    used = C * IPC * K
    assert pool.entries_GM3LHW.grad[0, :, 0, 0, 0, 0].tolist() == [used, used / 2, 0, 0]


def test_the_pool_is_a_copy_of_what_it_starts_from() -> None:
    start = entries(1)
    before = start.clone()
    with torch.no_grad():
        FeaturePool(start).entries_GM3LHW.add_(1)
    assert torch.equal(start, before)
