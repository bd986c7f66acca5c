from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from idtd_cli.method.normalisation import Normalisation
from idtd_cli.recipe import ScoringConfig
from idtd_cli.students.predictions import Predictions, _view, predict
from idtd_cli.students.training import LabelledVideos

PLAIN = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "cpu")


class _Said(nn.Module):
    """Gives the scores that a video holds in its first pixels."""

    def forward(self, x_B3THW: Tensor) -> Tensor:
        assert not self.training
        return 255 * x_B3THW[:, 0, 0, 0]


def said(*scores: tuple[float, ...]) -> Tensor:
    videos_NT3HW = torch.zeros(len(scores), 2, 3, 1, len(scores[0]))
    videos_NT3HW[:, 0, 0, 0] = torch.tensor(scores)
    return videos_NT3HW


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_the_class_that_was_found_and_the_place_of_the_true_one(batch: int) -> None:
    videos = said((1, 5, 3, 0), (9, 2, 3, 4), (1, 2, 3, 4), (7, 7, 7, 7), (7, 7, 7, 7))
    found = predict(_Said(), LabelledVideos(videos, torch.tensor([1, 2, 0, 0, 3])), PLAIN, 2, batch=batch)  # type: ignore[arg-type]
    assert found.found_VN.tolist() == [[1, 0, 3, 0, 0]]
    assert found.place_VN.tolist() == [[0, 2, 3, 0, 3]]
    assert [found.top(count) for count in (1, 3, 4)] == pytest.approx([0.4, 0.6, 1.0])


def moments(*scores: tuple[float, ...]) -> Tensor:
    """Videos (1, T, 3, 1, C) of one frame a tuple."""
    videos_1T3HW = torch.zeros(1, len(scores), 3, 1, len(scores[0]))
    videos_1T3HW[0, :, 0, 0] = torch.tensor(scores)
    return videos_1T3HW


def test_views_are_windows_from_the_first_moment_to_the_last() -> None:
    """A student that sees one frame of each view says which: the middles of three windows of half the video."""
    scored = ScoringConfig(views=3, span=0.5, combine="accuracy")
    videos = moments((0, 9, 0, 0), (9, 0, 0, 0), (0, 0, 9, 0), (0, 0, 0, 9))
    found = predict(_Said(), LabelledVideos(videos, torch.tensor([2])), PLAIN, 1, scored)  # type: ignore[arg-type]
    assert found.found_VN.shape == (3, 1)
    assert found.found_VN[0].item() in (0, 1)
    assert found.found_VN[2].item() in (2, 3)


@given(views=st.integers(1, 9), span=st.floats(0.05, 1), draws=st.sampled_from([1, 3, 9]))
def test_a_view_lies_within_the_video_and_is_as_long_as_asked(views: int, span: float, draws: int) -> None:
    scored = ScoringConfig(views=views, span=span)
    for view in range(min(views, draws) if draws > 1 else views):
        shown = _view(torch.tensor([0]), view, scored, draws)
        assert -1e-6 <= shown.start_B.item() < shown.end_B.item() <= 1 + 1e-6
        assert (shown.end_B - shown.start_B).item() == pytest.approx(1 / draws if draws > 1 else span, abs=1e-6)
        if draws > 1:
            assert shown.start_B.item() == pytest.approx(view / draws)


def test_scores_of_views_are_put_together_or_each_is_right_or_wrong_by_itself() -> None:
    videos = LabelledVideos(moments((6, 5, 0, 0), (0, 9, 0, 0), (6, 5, 0, 0)), torch.tensor([1]), draws=3)
    apart = predict(_Said(), videos, PLAIN, 1, ScoringConfig(views=3, combine="accuracy"))  # type: ignore[arg-type]
    assert apart.found_VN.flatten().tolist() == [0, 1, 0]
    assert apart.top(1) == pytest.approx(1 / 3)
    together = predict(_Said(), videos, PLAIN, 1, ScoringConfig(views=3))  # type: ignore[arg-type]
    assert together.found_VN.tolist() == [[1]]
    assert (together.top(1), together.place_VN.tolist()) == (1, [[0]])


def test_flips_are_drawn_by_the_seed() -> None:
    videos = LabelledVideos(said(*[(9.0, 0.0, 0.0, 1.0)] * 40), torch.zeros(40, dtype=torch.long))
    flipped = ScoringConfig(flip=True)
    one, again, other = (
        predict(_Said(), videos, PLAIN, 2, flipped, seed).found_VN  # type: ignore[arg-type]
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert set(one.flatten().tolist()) == {0, 3}


def test_scores_that_are_no_numbers_are_no_luck() -> None:
    """A student that diverged says one class of all videos."""
    videos = said(*[(float("nan"),) * 4] * 4)
    found = predict(_Said(), LabelledVideos(videos, torch.arange(4)), PLAIN, 2)  # type: ignore[arg-type]
    assert found.top(1) == pytest.approx(0.25)


def test_a_share_of_none_is_no_success() -> None:
    assert Predictions(torch.tensor([[1]]), torch.tensor([[5]])).top(5) == 0
