from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli.method.real_clips import RealClips


def clips(counts: list[int], frames: int = 8) -> RealClips:
    """Clips whose red is their class, green their number, and blue the number of the frame."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    videos = torch.zeros(len(labels), frames, 3, 2, 2, dtype=torch.uint8)
    videos[:, :, 0] = labels[:, None, None, None]
    videos[:, :, 1] = torch.arange(len(labels))[:, None, None, None]
    videos[:, :, 2] = torch.arange(frames)[None, :, None, None]
    return RealClips(videos, labels, len(counts))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


_COUNTS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@given(_COUNTS, st.integers(1, 14), st.integers(0, 1 << 30))
def test_each_class_gives_its_own_clips_and_repeats_none_before_all_are_drawn(
    counts: list[int], count: int, seed: int
) -> None:
    real = clips(counts)
    drawn = real.draw(count, seeded(seed))
    assert drawn.shape == (len(counts), count)
    for label, of_class in enumerate(drawn):
        assert (real.labels_N[of_class] == label).all()
        for turn in of_class.split(counts[label]):
            assert len(set(turn.tolist())) == len(turn)
    assert torch.equal(drawn, real.draw(count, seeded(seed)))


def test_every_clip_is_as_likely_as_any_other() -> None:
    real = clips([4, 2])
    firsts = torch.cat([real.draw(1, seeded(seed)) for seed in range(600)], dim=1)
    assert torch.bincount(firsts[0], minlength=6)[:4].min() > 100
    assert torch.bincount(firsts[1], minlength=6)[4:].min() > 200


@pytest.mark.parametrize("labels", [[0, 1, 0], [0, 0, 2], [1, 1, 1]])
def test_unsorted_clips_and_missing_classes_are_refused(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="sorted by class, and every class needs one"):
        RealClips(torch.zeros(3, 1, 3, 1, 1), torch.tensor(labels), 3 if 2 in labels else 2)


def test_segments_of_a_class_are_of_its_clips() -> None:
    entries = clips([3, 2]).segments(2, 5, span=0.5, frames=2, generator=seeded())
    assert entries.shape == (2, 5, 2, 3, 2, 2)
    assert (entries[0, :, :, 0] == 0).all()
    assert (entries[1, :, :, 0] == 1).all()


def test_segments_of_a_set_take_its_classes_in_turn() -> None:
    entries = clips([3, 2, 4]).segments(1, 7, span=0.5, frames=2, generator=seeded())
    assert entries.shape == (1, 7, 2, 3, 2, 2)
    assert entries[0, :, 0, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]


@given(st.floats(0.01, 1), st.integers(1, 4), st.integers(0, 1 << 30))
def test_a_segment_is_a_stretch_of_one_clip_in_order(span: float, frames: int, seed: int) -> None:
    entries = clips([3, 2]).segments(2, 4, span=span, frames=frames, generator=seeded(seed))
    numbers, times = entries[:, :, :, 1, 0, 0], entries[:, :, :, 2, 0, 0]
    assert (numbers == numbers[:, :, :1]).all()
    assert (times.diff(dim=2) >= 0).all()
    assert (times[:, :, -1] - times[:, :, 0] <= span * 8 + 1).all()
