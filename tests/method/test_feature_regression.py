from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from idtd_cli.method.matching.feature_regression import feature_regression


def features(classes: int, clips: int, width: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(classes, clips, width, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_features_that_predict_the_labels_leave_no_error() -> None:
    """One synthetic clip of each class, at right angles: real clips that are the same are predicted without an error,
    but for the ridge."""
    assert feature_regression(torch.eye(3)[:, None], torch.eye(3)[:, None], 1e-9).item() == pytest.approx(0, abs=1e-9)


def test_a_case_that_can_be_worked_out() -> None:
    """K_ss = I, so with λ = 1 the predictions are halved: (¼, −¼) for (½, −½), and as far on the wrong side."""
    synthetic, real = torch.eye(2)[:, None], torch.eye(2)[:, None]
    assert feature_regression(real, synthetic, 1.0).item() == pytest.approx(0.5 * 2 * 0.25**2)
    assert feature_regression(real.flip(0), synthetic, 1.0).item() == pytest.approx(0.5 * 2 * 0.75**2)
    assert feature_regression(0 * real, synthetic, 1.0).item() == pytest.approx(0.5 * 2 * 0.5**2)


@pytest.mark.parametrize(("views", "width"), [(1, 5), (4, 30), (6, 5)])
def test_it_is_ridge_regression(views: int, width: int) -> None:
    """Also where the features are fewer than the clips: weights are then found among features, not among clips."""
    ridge = 0.1
    real, synthetic = features(3, 7, width, 0), features(3, views, width, 1)
    x, z = synthetic.double().flatten(0, 1).numpy(), real.double().flatten(0, 1).numpy()
    y, target = (np.repeat(np.eye(3) - 1 / 3, count, axis=0) for count in (views, 7))
    weights = np.linalg.solve(x.T @ x + ridge * (x**2).sum() / len(x) * np.eye(width), x.T @ y)
    expected = 0.5 * ((z @ weights - target) ** 2).sum(1).mean()
    assert feature_regression(real, synthetic, ridge).item() == pytest.approx(expected, rel=1e-5)


def test_its_gradient_is_right() -> None:
    real, synthetic = features(2, 3, 4, 0, torch.float64), features(2, 2, 4, 1, torch.float64)
    step = features(2, 2, 4, 2, torch.float64)
    synthetic.requires_grad_(True)
    [gradient] = torch.autograd.grad(feature_regression(real, synthetic, 0.1), synthetic)
    size = 1e-3
    ahead, behind = (feature_regression(real, synthetic + sign * size * step, 0.1).item() for sign in (1, -1))
    assert (ahead - behind) / (2 * size) == pytest.approx((gradient * step).sum().item(), rel=1e-3)


def test_the_scale_of_the_features_does_not_matter() -> None:
    real, synthetic = features(3, 4, 6, 0), features(3, 2, 6, 1)
    plain, scaled = feature_regression(real, synthetic, 0.1), feature_regression(1000 * real, 1000 * synthetic, 0.1)
    torch.testing.assert_close(plain, scaled)


def test_features_that_are_all_the_same_are_no_obstacle() -> None:
    same = torch.ones(3, 4, 6, requires_grad=True)
    loss = feature_regression(torch.ones(3, 2, 6), same, 1e-6)
    loss.backward()
    assert loss.item() == pytest.approx(0.5 * (1 - 1 / 3), rel=1e-3)
    assert same.grad is not None
    assert torch.isfinite(same.grad).all()
