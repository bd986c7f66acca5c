from __future__ import annotations

from typing import Literal

import pytest
import torch

from idtd_cli.method.pool_start import pool_start
from idtd_cli.method.real_clips import RealClips
from idtd_cli.recipe import PoolConfig

FRAMES = 8


def clips(counts: list[int]) -> RealClips:
    """Channel 0 holds the label, channel 1 the clip's number, channel 2 the time."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    videos = torch.zeros(len(labels), FRAMES, 3, 2, 2, dtype=torch.uint8)
    videos[:, :, 0] = labels.to(torch.uint8)[:, None, None, None]
    videos[:, :, 1] = torch.arange(len(labels)).to(torch.uint8)[:, None, None, None]
    videos[:, :, 2] = torch.arange(FRAMES).to(torch.uint8)[None, :, None, None]
    return RealClips(videos, labels, len(counts))


def start(real: RealClips, selectors: int = 2, **settings: object) -> torch.Tensor:
    config = PoolConfig.model_validate(settings)
    return pool_start(real, config, selectors, 1.0, 4, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("how", ["clusters", "random"])
@pytest.mark.parametrize("each", [1, 3])
def test_entries_of_a_group_are_of_its_class(how: Literal["clusters", "random"], each: int) -> None:
    entries = start(clips([9, 7]), start=how, entries_per_selector=each)
    assert entries.shape == (2, 2 * each, 4, 3, 2, 2)
    assert (entries[0, :, :, 0] == 0).all()
    assert (entries[1, :, :, 0] == 1).all()


@pytest.mark.parametrize("how", ["clusters", "random"])
def test_with_one_group_each_selector_starts_within_its_class(how: str) -> None:
    entries = start(clips([9, 7, 8]), start=how, scope="dataset", entries_per_selector=2)
    assert entries.shape == (1, 12, 4, 3, 2, 2)
    assert entries[0, :, 0, 0, 0, 0].tolist() == [0, 0, 1, 1, 2, 2] * 2


def test_clusters_cover_the_class() -> None:
    """Clips are unlike in their numbers alone, 0..9: two clusters are the low numbers and the high ones."""
    entries = start(clips([10]), start="clusters")
    low, high = sorted(entries[0, :, 0, 1, 0, 0].tolist())
    cut = round(2 * low + 1)  # the mean of 0..cut-1 is (cut - 1) / 2
    assert 3 <= cut <= 7
    assert (low, high) == pytest.approx(((cut - 1) / 2, (cut + 9) / 2), abs=1e-4)


def test_every_clip_counts_once_in_a_class_smaller_than_others() -> None:
    entries = start(clips([3, 5]), selectors=1, start="clusters")
    assert entries[:, 0, 0, 1, 0, 0].tolist() == pytest.approx([1, 5], abs=1e-4)


def test_random_entries_are_clips_as_they_are() -> None:
    entries = start(clips([10]), selectors=10, start="random")
    assert sorted(entries[0, :, 0, 1, 0, 0].tolist()) == list(range(10))


@pytest.mark.parametrize("how", ["clusters", "random"])
def test_a_class_with_fewer_clips_than_entries_repeats_them(how: str) -> None:
    entries = start(clips([2, 9]), selectors=5, start=how)
    assert entries.isfinite().all()
    assert set(entries[0, :, 0, 1, 0, 0].tolist()) == {0, 1}


def test_an_entry_is_a_time_lapse_of_the_whole_clip() -> None:
    entries = start(clips([4]), start="random")
    times = entries[0, 0, :, 2, 0, 0]
    assert (times.diff() > 0).all()
    assert times[0] < 1.5
    assert times[-1] > FRAMES - 2.5
