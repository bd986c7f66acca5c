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


@given(st.floats(0.01, 1), st.integers(1, 4), st.integers(0, 1 << 30))
def test_a_stretch_is_of_one_clip_in_order(span: float, frames: int, seed: int) -> None:
    index = torch.tensor([0, 4, 2, 0])
    stretches = clips([3, 2]).stretches(index, span=span, frames=frames, generator=seeded(seed))
    assert stretches.shape == (4, frames, 3, 2, 2)
    numbers, times = stretches[:, :, 1, 0, 0], stretches[:, :, 2, 0, 0]
    assert (numbers == numbers[:, :1]).all()
    assert (times.diff(dim=1) >= 0).all()
    assert (times[:, -1] - times[:, 0] <= span * 8 + 1).all()


@given(st.integers(1, 8))
def test_a_whole_clip_is_its_own_frames_from_end_to_end(frames: int) -> None:
    real = clips([3, 2])
    index = torch.tensor([4, 1, 1])
    whole = real.whole(index, frames)
    assert (whole.dtype, whole.shape) == (torch.uint8, (3, frames, 3, 2, 2))
    assert torch.equal(whole[:, :, 1, 0, 0].long(), index[:, None].expand(3, frames))
    times = whole[:, :, 2, 0, 0].long()
    assert ((times - (torch.arange(frames) + 0.5) / frames * 8 + 0.5).abs() <= 0.5 + 1e-6).all()
