from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from idtd_cli.baselines.coreset import CHOICES, Choice, coreset, embeddings, herding, k_center
from idtd_cli.method.normalisation import Normalisation
from tests.method.test_real_clips import clips

every_choice = pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)


def points(seed: int, count: int = 12, width: int = 3) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def radius(x: Tensor, centres: Tensor) -> float:
    """How far the farthest point is from the nearest centre."""
    return torch.cdist(x, x[centres]).min(1).values.max().item()


def farness(x: Tensor, chosen: Tensor) -> float:
    """How far the mean of some points is from that of all."""
    return (x[chosen].mean(0) - x.mean(0)).norm().item()


@every_choice
@given(seed=st.integers(0, 1000), count=st.integers(1, 11), copies=st.booleans())
def test_clips_differ_and_fewer_are_the_first_of_more(choice: Choice, seed: int, count: int, copies: bool) -> None:
    x = points(seed)
    if copies:
        x = x[:3].repeat(4, 1)
    chosen = choice(x, count + 1)
    assert len(set(chosen.tolist())) == count + 1
    assert set(chosen.tolist()) <= set(range(12))
    assert torch.equal(choice(x, count), chosen[:count])
    assert sorted(choice(x, 12).tolist()) == list(range(12))


@every_choice
@given(seed=st.integers(0, 1000))
def test_the_order_of_the_clips_has_no_say(choice: Choice, seed: int) -> None:
    x, order = points(seed), torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(order[choice(x[order], 5)], choice(x, 5))


@every_choice
def test_of_equals_the_first_is_taken(choice: Choice) -> None:
    assert choice(torch.zeros(4, 2), 3).tolist() == [0, 1, 2]


@every_choice
@given(seed=st.integers(0, 1000))
def test_the_first_is_nearest_to_the_mean(choice: Choice, seed: int) -> None:
    x = points(seed)
    assert choice(x, 1).item() == (x - x.mean(0)).norm(dim=1).argmin()


def test_herding_balances_a_cross() -> None:
    """The middle first, then the near arms, each after its opposite; the far ones bring the mean no nearer."""
    x = torch.tensor([[0.0, 3.0], [0.0, -3.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    assert herding(x, 5).tolist() == [4, 2, 3, 0, 1]


@given(st.integers(0, 1000))
def test_no_other_clip_would_have_brought_the_mean_nearer(seed: int) -> None:
    x = points(seed)
    chosen = herding(x, 6).tolist()
    for place, clip in enumerate(chosen):
        others = [farness(x, torch.tensor([*chosen[:place], other])) for other in set(range(12)) - set(chosen[:place])]
        assert farness(x, torch.tensor([*chosen[:place], clip])) == pytest.approx(min(others), abs=1e-5)


def test_k_center_takes_one_of_each_group() -> None:
    x = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 70.0]]).repeat_interleave(6, 0) + points(0, 18, 2)
    assert {clip // 6 for clip in k_center(x, 3).tolist()} == {0, 1, 2}


def test_a_clip_unlike_its_class_is_chosen_by_k_center_alone() -> None:
    x = torch.tensor([[0.0], [1.0], [-1.0], [0.5], [-0.5], [9.0]])
    assert k_center(x, 2).tolist() == [1, 5]
    assert 5 not in herding(x, 2).tolist()


@given(st.integers(0, 1000), st.integers(2, 5))
def test_k_center_leaves_no_clip_far(seed: int, count: int) -> None:
    """At most twice the least radius there is (Gonzalez, 1985), and less than what chance finds on average."""
    x = points(seed)
    found = radius(x, k_center(x, count))
    every = [radius(x, centres) for centres in torch.combinations(torch.arange(12), count)]
    assert found <= 2 * min(every) + 1e-5
    assert found <= sum(every) / len(every)


@every_choice
def test_a_class_gives_its_own_clips_whatever_the_others_are(choice: Choice) -> None:
    x, count_C = points(0, 14), torch.tensor([5, 2, 7])
    expected = torch.cat([choice(x[:5], 2), 5 + choice(x[5:7], 2), 7 + choice(x[7:], 2)])
    assert torch.equal(coreset(lambda index_N: x[index_N], count_C, 2, choice), expected)


@pytest.mark.parametrize("batch", [1, 4, 64])
@pytest.mark.parametrize("frames", [4, 16])
def test_embeddings_are_of_whole_clips_as_they_are_stored(batch: int, frames: int) -> None:
    real = clips([3, 2])
    normalisation = Normalisation((0.5, 0.4, 0.3), (0.2, 0.3, 0.4), "cpu")
    index = torch.tensor([4, 0, 2, 3, 1])
    x = embeddings(real, index, lambda clips_B3THW: clips_B3THW.flatten(1), normalisation, frames, batch)
    stored = real.whole(index, frames)
    assert torch.equal(x, normalisation.normalise(stored).transpose(1, 2).flatten(1))
