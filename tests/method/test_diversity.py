from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli.method.diversity import diversity_loss

ZERO = torch.zeros(4)


def embeddings(seed: int, n: int = 2, k: int = 3) -> torch.Tensor:
    return torch.randn(n, k, 4, generator=torch.Generator().manual_seed(seed))


def test_orthogonal_segments_cost_nothing() -> None:
    assert diversity_loss(torch.eye(4)[None], ZERO) == 0


def test_equal_segments_cost_one() -> None:
    assert diversity_loss(torch.ones(2, 3, 4), ZERO).item() == pytest.approx(1)


def test_opposite_segments_are_no_better_than_orthogonal_ones() -> None:
    assert diversity_loss(torch.tensor([[[1.0, 0, 0, 0], [-1.0, 0, 0, 0]]]), ZERO) == 0


def test_the_mean_is_over_pairs() -> None:
    same_and_another = torch.eye(4)[torch.tensor([[0, 0, 1]])]
    assert diversity_loss(same_and_another, ZERO).item() == pytest.approx(1 / 3)


def test_one_segment_has_no_pair() -> None:
    assert diversity_loss(torch.ones(2, 1, 4), ZERO) == 0


def test_what_all_clips_share_does_not_count() -> None:
    common = torch.full((4,), 100.0)
    alone = diversity_loss(embeddings(0), ZERO)
    torch.testing.assert_close(diversity_loss(embeddings(0) + common, common), alone, atol=1e-4, rtol=0)
    assert diversity_loss(embeddings(0) + common, ZERO) > 0.99


@given(st.integers(0, 1 << 30), st.integers(1, 4), st.integers(2, 5), st.randoms(use_true_random=False))
def test_it_lies_between_zero_and_one_whatever_the_order(seed: int, n: int, k: int, random: object) -> None:
    given_NKD = embeddings(seed, n, k)
    loss = diversity_loss(given_NKD, ZERO)
    assert 0 <= loss.item() <= 1 + 1e-6
    order = list(range(k))
    random.shuffle(order)  # type: ignore[attr-defined]
    torch.testing.assert_close(diversity_loss(given_NKD[:, order], ZERO), loss)
    torch.testing.assert_close(diversity_loss(7 * given_NKD, ZERO), loss)


@pytest.mark.parametrize("start", [torch.ones(2, 3, 4), torch.zeros(2, 3, 4), torch.eye(4)[None], embeddings(0)])
def test_gradients_are_finite(start: torch.Tensor) -> None:
    leaf = start.clone().requires_grad_()
    diversity_loss(leaf, ZERO).backward()
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()


def test_a_step_down_drives_segments_apart() -> None:
    leaf = (torch.ones(1, 2, 4) + 0.1 * embeddings(0, 1, 2)).requires_grad_()
    before = diversity_loss(leaf, ZERO)
    before.backward()
    assert leaf.grad is not None
    assert diversity_loss(leaf.detach() - leaf.grad, ZERO) < before
