from __future__ import annotations

import torch

from idtd_cli.baselines.packing import packed
from idtd_cli.baselines.random_clips import random_clips
from idtd_cli.method.real_clips import RealClips
from tests import tiny


def real(each: int = 5) -> RealClips:
    labels = torch.arange(3).repeat_interleave(each)
    clips = [torch.from_numpy(tiny.draw_clip(label, n)) for n, label in enumerate(labels.tolist())]
    return RealClips(torch.stack(clips), labels, 3)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_they_are_real_clips_in_class_order_and_all_different() -> None:
    given = real()
    drawn = random_clips(given, 4, 8, seeded(0))
    assert drawn.dtype == torch.uint8
    assert drawn.shape == (12, 8, 3, 16, 16)
    same = (drawn[:, None] == given.videos_NF3HW).flatten(2).all(-1)
    places = same.nonzero()[:, 1]
    assert len(set(places.tolist())) == 12
    assert given.labels_N[places].tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_fewer_frames_are_frames_of_the_clip() -> None:
    given = real()
    drawn = random_clips(given, 1, 4, seeded(0))
    shown = (drawn[:, :, None, None] == given.videos_NF3HW).flatten(4).all(-1)  # video, frame, clip, its frame
    assert shown.any(-1).all(1).any(-1).all()


def test_more_frames_blend_neighbours_to_the_nearest_value() -> None:
    given = real(1)
    drawn = random_clips(given, 1, 16, seeded(0))
    clips = given.videos_NF3HW.double()
    # Frame 2 of 16 lies a quarter of the way from frame 0 to frame 1.
    expected = (0.75 * clips[:, 0] + 0.25 * clips[:, 1]).add(1e-6).round()
    torch.testing.assert_close(drawn[:, 1].double(), expected, atol=1, rtol=0)
    assert (drawn[:, 1].double() == expected).double().mean() > 0.8


def test_the_generator_decides() -> None:
    one, two, other = (random_clips(real(), 2, 4, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_a_video_may_hold_several_clips_of_its_class() -> None:
    given = real()
    apart = random_clips(given, 4, 4, seeded(0))
    videos = packed(apart, 2)
    assert videos.shape == (6, 8, 3, 16, 16)
    assert torch.equal(videos.unflatten(1, (2, 4)).flatten(0, 1), apart)
