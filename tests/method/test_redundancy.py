from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from idtd_cli.method.redundancy import inter_sample, within_sample

D = 64


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, D, generator=torch.Generator().manual_seed(seed))


def by_hand(groups_C: list[Tensor]) -> list[float]:
    """The definition, pair by pair."""
    centre = sum(x.flatten(0, 1).mean(0) for x in groups_C) / len(groups_C)
    found = []
    for groups in groups_C:
        means = []
        for group in groups:
            pairs = itertools.combinations([x - centre for x in group], 2)
            means.append([float(a @ b / (a.norm() * b.norm())) for a, b in pairs])
        found.append(sum(sum(values) / len(values) for values in means) / len(means))
    return found


def test_both_are_the_mean_cosine_of_all_pairs() -> None:
    # A large part in common, as random networks give it, and classes of different sizes.
    frames_C = [noise(n, 3, seed=n) + 20 + offset for n, offset in ((4, 0.0), (7, 1.0), (2, -0.5))]
    assert within_sample(frames_C).tolist() == pytest.approx(by_hand(frames_C), abs=1e-5)
    clips_C = [frames[:, 0] for frames in frames_C]
    assert inter_sample(clips_C).tolist() == pytest.approx(by_hand([clips[None] for clips in clips_C]), abs=1e-5)


def test_copies_are_1_and_opposites_are_not() -> None:
    copies, others = noise(1).expand(5, D), noise(5, seed=1)
    assert float(inter_sample([copies, others])[0]) == pytest.approx(1)
    # Two clips on either side of the mean: the other class lies on it.
    opposites = torch.cat([noise(1), -noise(1)])
    assert float(inter_sample([opposites, torch.zeros(2, D)])[0]) == pytest.approx(-1)


def test_frozen_clips_are_1_however_unlike_each_other() -> None:
    frozen, moving = noise(6, 1).expand(6, 8, D), noise(6, 8, seed=1)
    within = within_sample([frozen, moving])
    assert float(within[0]) == pytest.approx(1)
    assert abs(within[1]) < 0.05
    assert abs(inter_sample([frozen[:, 0], moving[:, 0]])[0]) < 0.2


def test_independent_clips_are_near_0_whatever_they_have_in_common() -> None:
    clips_C = [noise(30, seed=seed) + 100 for seed in range(6)]
    assert inter_sample(clips_C).abs().max() < 0.03


def test_a_part_that_a_class_has_of_its_own_makes_it_redundant() -> None:
    weights = (0.0, 0.5, 1.0, 2.0)
    inter = inter_sample([noise(30, seed=n) + weight * noise(1, seed=100 + n) for n, weight in enumerate(weights)])
    assert inter.tolist() == sorted(inter.tolist())
    assert inter[3] > inter[0] + 0.3


def test_the_size_of_a_class_does_not_move_the_mean() -> None:
    small, large = noise(10) + 1, noise(10, seed=1) - 1
    few, many = inter_sample([small, large]), inter_sample([small, large.repeat(9, 1)])
    assert float(few[0]) == pytest.approx(float(many[0]), abs=1e-5)


def test_the_order_of_clips_and_of_classes_does_not_matter() -> None:
    one, two = noise(9), noise(5, seed=1) + 1
    inter = inter_sample([one, two])
    turned = inter_sample([two, one[torch.randperm(9, generator=torch.Generator().manual_seed(0))]])
    assert turned.flip(0).tolist() == pytest.approx(inter.tolist(), abs=1e-6)


def test_one_clip_and_one_frame_have_no_pairs() -> None:
    inter = inter_sample([noise(1), noise(4, seed=1)])
    assert math.isnan(inter[0])
    assert inter[1].isfinite()
    assert within_sample([noise(3, 1), noise(4, 1, seed=1)]).isnan().all()
