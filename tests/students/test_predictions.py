from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from idtd_cli.method.normalisation import Normalisation
from idtd_cli.students.predictions import Predictions, predict
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
    found = predict(_Said(), LabelledVideos(videos, torch.tensor([1, 2, 0, 0, 3])), PLAIN, 2, batch)  # type: ignore[arg-type]
    assert found.found_N.tolist() == [1, 0, 3, 0, 0]
    assert found.place_N.tolist() == [0, 2, 3, 0, 3]
    assert [found.top(count) for count in (1, 3, 4)] == pytest.approx([0.4, 0.6, 1.0])


def test_scores_that_are_no_numbers_are_no_luck() -> None:
    """A student that diverged says one class of all videos."""
    videos = said(*[(float("nan"),) * 4] * 4)
    found = predict(_Said(), LabelledVideos(videos, torch.arange(4)), PLAIN, 2)  # type: ignore[arg-type]
    assert found.top(1) == pytest.approx(0.25)


def test_a_share_of_none_is_no_success() -> None:
    assert Predictions(torch.tensor([1]), torch.tensor([5])).top(5) == 0
