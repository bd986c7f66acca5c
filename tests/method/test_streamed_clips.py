from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from idtd_cli.method import seeds
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.streamed_clips import StreamedClips
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, Views, read
from idtd_cli.method.views import RealViews
from idtd_cli.recipe import DistillConfig
from tests.method.test_real_clips import clips, seeded

#: (N, F, 3, H, W)
VIDEOS = torch.randint(256, (7, 8, 3, 2, 2), generator=seeded()).to(torch.uint8)


class Disk:
    """Remembers what was read, and by which thread."""

    def __init__(self, videos: Tensor = VIDEOS) -> None:
        self.videos = videos
        self.lots: list[list[int]] = []
        self.threads: set[int] = set()
        self.gone = False

    def fetch(self, index: list[int]) -> Tensor:
        self.lots.append(index)
        self.threads.add(threading.get_ident())
        if self.gone:
            raise OSError("the disk is gone")
        return self.videos[index]

    def streamed(self) -> StreamedClips:
        return StreamedClips(self.fetch, tuple(self.videos.shape), self.videos.device)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=9), st.integers(1, 12), st.floats(0.05, 1), st.integers(0, 99))
def test_views_are_the_same_bytes_as_from_memory(index: list[int], frames: int, length: float, seed: int) -> None:
    start_B = torch.rand(len(index), generator=seeded(seed)) * (1 - length)
    views = Views(torch.tensor(index), start_B, start_B + length, shortest=length)
    assert torch.equal(read(Disk().streamed(), views, frames), read(VIDEOS, views, frames))


def test_it_has_the_shape_and_the_device_of_the_tensor() -> None:
    streamed = Disk().streamed()
    assert (streamed.shape, streamed.device) == (VIDEOS.shape, VIDEOS.device)


def test_only_what_is_asked_for_is_read_and_repeated_clips_are_given_twice() -> None:
    disk = Disk()
    assert torch.equal(disk.streamed().clips(torch.tensor([5, 0, 5])), VIDEOS[[5, 0, 5]])
    assert disk.lots == [[5, 0, 5]]


def test_expected_clips_are_read_once_and_by_another_thread() -> None:
    disk = Disk()
    streamed = disk.streamed()
    for lot in ([1, 2], [3], [1, 2]):
        streamed.prefetch(torch.tensor(lot))
        assert torch.equal(streamed.clips(torch.tensor(lot)), VIDEOS[lot])
    assert disk.lots == [[1, 2], [3], [1, 2]]
    assert threading.get_ident() not in disk.threads


def test_expecting_does_not_wait() -> None:
    may_read = threading.Event()

    def fetch(index: list[int]) -> Tensor:
        assert may_read.wait(10)
        return VIDEOS[index]

    streamed = StreamedClips(fetch, tuple(VIDEOS.shape), VIDEOS.device)
    streamed.prefetch(torch.tensor([4]))  # with a read in this thread, the event would come too late
    may_read.set()
    assert torch.equal(streamed.clips(torch.tensor([4])), VIDEOS[[4]])


@pytest.mark.parametrize("expected", [[2, 1], [1], [1, 2, 3], []])
def test_a_wrong_guess_costs_a_read_and_nothing_else(expected: list[int]) -> None:
    streamed = Disk().streamed()
    streamed.prefetch(torch.tensor(expected, dtype=torch.long))
    assert torch.equal(streamed.clips(torch.tensor([1, 2])), VIDEOS[[1, 2]])
    assert torch.equal(streamed.clips(torch.tensor([6])), VIDEOS[[6]])


@pytest.mark.parametrize("expected", [False, True])
def test_a_failure_of_the_reading_thread_is_that_of_whoever_asks(expected: bool) -> None:
    disk = Disk()
    streamed = disk.streamed()
    disk.gone = True
    if expected:
        streamed.prefetch(torch.tensor([1]))
    with pytest.raises(OSError, match="the disk is gone"):
        streamed.clips(torch.tensor([1]))
    disk.gone = False
    assert torch.equal(streamed.clips(torch.tensor([1])), VIDEOS[[1]])


def test_a_turn_takes_what_was_read_in_the_turn_before() -> None:
    resident = clips([4, 3])
    assert isinstance(resident.videos_NF3HW, Tensor)
    disk = Disk(resident.videos_NF3HW)
    normalisation, augmentation = Normalisation((0.5,) * 3, (0.2,) * 3, "cpu"), TemporalAugmentation(2, span=0.5)
    on_disk = disk.streamed()
    views = [
        RealViews(RealClips(videos, resident.labels_N, 2), normalisation, augmentation, 4)
        for videos in (resident.videos_NF3HW, on_disk)
    ]
    config = DistillConfig(batch_real=2, seed=7)
    for turn in range(4):
        memory, streamed = (each.of_turn(config, turn) for each in views)
        assert torch.equal(memory, streamed)
    assert on_disk._next is not None
    on_disk._next[1].result()  # another draw would give up what is not begun yet
    drawn = [resident.draw(2, seeded(seeds.of_turn(7, turn))).flatten().tolist() for turn in range(5)]
    assert disk.lots[:5] == drawn
