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
