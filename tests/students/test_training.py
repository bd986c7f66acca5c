from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.soft_labels import SoftLabels
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.recipe import FitConfig, StudentFitConfig
from idtd_cli.students import registry
from idtd_cli.students.predictions import top1
from idtd_cli.students.training import LabelledVideos, fit
from tests import tiny

NORMALISATION = Normalisation((0.2, 0.2, 0.2), (0.3, 0.3, 0.3), "cpu")
STUDENT = tiny.recipe(evaluate__student__widths=[8, 16], evaluate__student__dropout=0.1).evaluate.student


def bars(first: int, each: int, frames: int = 4) -> LabelledVideos:
    """Bars that go left (0) and bars that go right (1): one frame says nothing about the class."""
    labels = torch.arange(2).repeat_interleave(each)
    clips = [torch.from_numpy(tiny.draw_clip(label, first + n, frames)) for n, label in enumerate(labels.tolist())]
    return LabelledVideos(torch.stack(clips), labels)


def packed(each: int) -> LabelledVideos:
    """Videos of two segments, each of them a bar of the same class and another start."""
    one, two = bars(0, each), bars(500, each)
    return LabelledVideos(torch.cat([one.videos_NF3HW, two.videos_NF3HW], dim=1), one.labels_N)


def trained(train: LabelledVideos, seed: int = 0, classes: int = 2, segments: int = 1, **options: Any) -> Network:
    student = registry.build(STUDENT, registry.Task(classes, 4, 16, 16), seed, "cpu")
    config = FitConfig.model_validate({"steps": 60, "batch": 16, "step_size": 0.05} | options)
    fit(student, train, NORMALISATION, config, TemporalAugmentation(segments), 4, seed)
    return student


@pytest.mark.parametrize(("train", "segments"), [(bars(0, 16), 1), (packed(8), 2)], ids=["whole", "segments"])
def test_motion_is_learnt(train: LabelledVideos, segments: int) -> None:
    test = bars(1000, 30)
    student = trained(train, segments=segments)
    assert top1(student, test, NORMALISATION, 4) > 0.9
    swapped = LabelledVideos(test.videos_NF3HW, 1 - test.labels_N)
    assert top1(student, swapped, NORMALISATION, 4) < 0.1
    backwards = LabelledVideos(test.videos_NF3HW.flip(1), test.labels_N)
    assert top1(student, backwards, NORMALISATION, 4) < 0.1


def test_epochs_show_every_clip_as_often() -> None:
    """Passes over all of a set, and not so many updates: 10 clips in batches of 4, 3 times, are 9 updates."""
    seen: list[int] = []
    train = bars(0, 5)

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Parameter(torch.zeros(2))

        def forward(self, x_B3THW: torch.Tensor) -> torch.Tensor:
            seen.append(len(x_B3THW))
            return self.scores.expand(len(x_B3THW), 2)

    config = StudentFitConfig(epochs=3, batch=4, steps=1)
    fit(Counting(), train, NORMALISATION, config, TemporalAugmentation(1), 4, 0)  # type: ignore[arg-type]
    assert seen == [4, 4, 2] * 3
    seen.clear()
    fit(Counting(), train, NORMALISATION, StudentFitConfig(steps=4, batch=4), TemporalAugmentation(1), 4, 0)  # type: ignore[arg-type]
    assert seen == [4] * 4


def test_soft_labels_are_learnt_in_place_of_the_classes() -> None:
    """Those of the segment that is seen: with teachers that take left for right, so does the student."""
    left, right = bars(0, 16), bars(500, 16)
    # A video of either class is a bar that goes left and then one that goes right: its class says nothing.
    both = torch.cat([left.videos_NF3HW[:16], right.videos_NF3HW[16:]], dim=1).repeat(2, 1, 1, 1, 1)
    for sign, found in ((1, 1.0), (-1, 0.0)):
        logits_NKC = sign * torch.tensor([[4.0, 0.0], [0.0, 4.0]]).expand(32, 2, 2)
        train = LabelledVideos(both, left.labels_N, SoftLabels(logits_NKC, 2.0))
        student = trained(train, segments=2)
        assert abs(top1(student, bars(1000, 30), NORMALISATION, 4) - found) < 0.1


def test_the_seed_decides() -> None:
    train = bars(0, 4)
    one = trained(train, 1, steps=3).state_dict()
    torch.rand(7)  # what else is drawn in between does not matter, not even to dropout
    two = trained(train, 1, steps=3).state_dict()
    other = trained(train, 2, steps=3).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_every_update_can_be_watched_and_is_the_same() -> None:
    student = registry.build(STUDENT, registry.Task(2, 4, 16, 16), 1, "cpu")
    seen: list[tuple[int, float]] = []
    fit(
        student,
        bars(0, 4),
        NORMALISATION,
        FitConfig(steps=40, batch=16, step_size=0.05),
        TemporalAugmentation(1),
        4,
        1,
        lambda step, loss: seen.append((step, loss.item())),
    )
    assert [step for step, _ in seen] == list(range(40))
    assert 0 < seen[-1][1] < 0.5 * seen[0][1]
    unwatched = trained(bars(0, 4), 1, steps=40).state_dict()
    assert all(torch.equal(unwatched[name], weight) for name, weight in student.state_dict().items())


def test_training_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained(bars(0, 2), steps=2)
    assert torch.equal(torch.rand(3), expected)


def test_videos_need_not_come_in_class_order() -> None:
    train = bars(0, 16)
    order = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    shuffled = LabelledVideos(train.videos_NF3HW[order], train.labels_N[order])
    assert top1(trained(shuffled), bars(1000, 30), NORMALISATION, 4) > 0.9


class _Constant(torch.nn.Module):
    """Says class 1 whatever it sees, and notes what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x_B3THW: torch.Tensor) -> torch.Tensor:
        assert x_B3THW.shape[1:3] == (3, 4)
        self.seen.append(x_B3THW.detach())
        return torch.tensor([0.0, 1.0]).expand(len(x_B3THW), 2) + self.weight


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_top1_is_a_share_over_all_videos_whatever_the_batch(batch: int) -> None:
    videos = bars(0, 4)
    some = LabelledVideos(videos.videos_NF3HW[2:], videos.labels_N[2:])
    assert top1(_Constant(), some, NORMALISATION, 4, batch) == pytest.approx(4 / 6)  # type: ignore[arg-type]


def test_dropout_has_no_say_in_a_score() -> None:
    student = trained(bars(0, 16))
    assert isinstance(student.dropout, torch.nn.Dropout)
    student.dropout.p = 0.999
    assert top1(student, bars(1000, 30), NORMALISATION, 4) > 0.9


def test_every_set_gets_the_same_number_of_updates_and_shows_each_segment() -> None:
    for train, segments in ((bars(0, 1), 1), (bars(0, 9), 1), (packed(3), 2)):
        student = _Constant()
        augmentation = TemporalAugmentation(segments)
        fit(student, train, NORMALISATION, FitConfig(steps=24, batch=6), augmentation, 4, 0)  # type: ignore[arg-type]
        assert len(student.seen) == 24
        different = {clip.numpy().tobytes() for batch in student.seen for clip in batch}
        assert len(different) == len(train.labels_N) * segments


def test_flips_are_horizontal_and_only_when_asked() -> None:
    videos = bars(0, 2)
    videos.videos_NF3HW[..., :8] //= 2  # tell left from right
    augmentation = TemporalAugmentation(1)
    found = {}
    for flip in (False, True):
        student = _Constant()
        fit(student, videos, NORMALISATION, FitConfig(steps=20, batch=4, flip=flip), augmentation, 4, 0)  # type: ignore[arg-type]
        found[flip] = {clip.numpy().tobytes() for batch in student.seen for clip in batch}
    mirrored = NORMALISATION.normalise(videos.videos_NF3HW.flip(-1)).transpose(1, 2)
    assert found[True] - found[False] == {clip.contiguous().numpy().tobytes() for clip in mirrored}
