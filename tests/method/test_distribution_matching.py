from __future__ import annotations

import pytest
import torch

from idtd_cli.method.matching.distribution_matching import distribution_matching


def test_equal_means_match() -> None:
    real = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    assert distribution_matching(real, torch.tensor([[[2.0, 3.0]]])) == 0


def test_it_is_the_squared_distance_of_the_means_summed_over_classes() -> None:
    real = torch.tensor([[[0.0, 0.0], [2.0, 2.0]], [[1.0, 0.0], [1.0, 0.0]]])
    synthetic = torch.tensor([[[4.0, 1.0]], [[1.0, 3.0]]])
    assert distribution_matching(real, synthetic) == 3**2 + 3**2


def test_a_class_is_matched_to_itself_alone() -> None:
    real = torch.tensor([[[0.0]], [[1.0]]])
    assert distribution_matching(real, real) == 0
    assert distribution_matching(real, real.flip(0)) == 2


def test_half_precision_is_summed_in_full() -> None:
    real = torch.full((1, 4000, 1), 30.0, dtype=torch.float16)
    assert distribution_matching(real, torch.zeros(1, 1, 1)).item() == pytest.approx(900)


def test_what_all_classes_share_counts_by_its_weight() -> None:
    real = torch.tensor([[[0.0, 0.0]], [[0.0, 0.0]]])
    synthetic = torch.tensor([[[5.0, 1.0]], [[5.0, -1.0]]])  # off by (5, 0) in both classes, and by (0, ±1) in its own
    assert distribution_matching(real, synthetic, common=0.0) == 2
    assert distribution_matching(real, synthetic, common=0.5) == 2 + 25
    assert distribution_matching(real, synthetic, common=1.0) == 2 + 50


def test_the_parts_add_up_to_the_published_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    real, synthetic = torch.randn(4, 6, 5, generator=generator), torch.randn(4, 3, 5, generator=generator)
    published = (real.mean(1) - synthetic.mean(1)).square().sum()
    torch.testing.assert_close(distribution_matching(real, synthetic), published)
