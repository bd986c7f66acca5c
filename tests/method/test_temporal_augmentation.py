from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli.method.temporal_augmentation import TemporalAugmentation, Views, read, whole

B = 64


def film(frames: int, videos: int = 1) -> torch.Tensor:
    """Videos of one pixel whose value is the number of the frame, so that a view shows where it was read."""
    return torch.arange(frames, dtype=torch.uint8).view(1, frames, 1, 1, 1).expand(videos, frames, 3, 1, 1)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def places(views: Views, source_frames: int, frames: int) -> torch.Tensor:
    """Places (B, T) on the source's frames."""
    return read(film(source_frames), views, frames)[:, :, 0, 0, 0].float()


def stretch(start: float, end: float) -> Views:
    return Views(torch.zeros(1, dtype=torch.long), torch.tensor([start]), torch.tensor([end]), shortest=end - start)


augmentations = st.builds(
    TemporalAugmentation,
    segments=st.integers(1, 8),
    span=st.floats(0.05, 1),
    window=st.floats(0, 1),
    speed=st.floats(1, 8) | st.sampled_from([1e3, 1e6]),
)
seeds = st.integers(0, 1 << 30)


@given(st.integers(1, 40))
def test_a_whole_video_at_its_own_length_is_itself(frames: int) -> None:
    videos = film(frames, 2)
    shown = read(videos, whole(torch.tensor([1, 0])), frames)
    assert torch.equal(shown, videos)
    assert shown.dtype == videos.dtype


@given(st.integers(1, 60), st.data())
def test_a_shorter_view_shows_real_frames_evenly_spread(source_frames: int, data: st.DataObject) -> None:
    frames = data.draw(st.integers(1, source_frames))
    (shown,) = places(whole(torch.tensor([0])), source_frames, frames)
    assert torch.equal(shown, shown.round())
    gaps = shown.diff()
    if len(gaps):
        assert gaps.min() >= source_frames // frames
        assert gaps.max() - gaps.min() <= 1
    lead, tail = shown[0], source_frames - 1 - shown[-1]
    assert abs(lead - tail) <= 1


def test_a_longer_view_blends_neighbours() -> None:
    (shown,) = places(whole(torch.tensor([0])), 2, 4)
    # The middles of four quarters of two frames, kept between the first frame and the last.
    torch.testing.assert_close(shown, torch.tensor([0, 0.25, 0.75, 1]))
    (shown,) = places(stretch(0.25, 0.75), 8, 8)
    torch.testing.assert_close(shown, torch.tensor([2, 2.25, 2.75, 3.25, 3.75, 4.25, 4.75, 5]), atol=1e-4, rtol=0)


@given(segments=st.integers(1, 8), length=st.integers(1, 6), frames=st.integers(1, 48), seed=seeds)
def test_a_segment_never_shows_its_neighbour(segments: int, length: int, frames: int, seed: int) -> None:
    sta = TemporalAugmentation(segments, span=1.0, window=0.0, speed=1.0)
    every = torch.arange(segments)
    views = sta.of_synthetic(torch.zeros(segments, dtype=torch.long), every, seeded(seed))
    shown = places(views, segments * length, frames)
    assert (shown >= every[:, None] * length).all()
    assert (shown <= (every[:, None] + 1) * length - 1).all()
    if frames % length == 0:  # each frame of the segment is shown, from its first to its last
        assert torch.equal(shown[:, 0], every * length)
        assert torch.equal(shown[:, -1], every * length + length - 1)


@given(augmentations, st.integers(1, 6), st.integers(1, 20), seeds)
def test_places_stay_in_the_stretch_and_never_go_back(
    sta: TemporalAugmentation, length: int, frames: int, seed: int
) -> None:
    index, segment = torch.zeros(B, dtype=torch.long), torch.arange(B) % sta.segments
    source_frames = sta.segments * length
    for views in (sta.of_synthetic(index, segment, seeded(seed)), sta.of_real(index, seeded(seed))):
        start, end = views.start_B, views.end_B
        assert (start >= 0).all()
        assert (end <= 1 + 1e-6).all()
        shown = places(views, source_frames, frames)
        # Frame i lies over the time from i to i + 1: those that the stretch touches may be shown, but not one that it
        # touches by rounding alone.
        first, at_most = ((start * source_frames + by).floor().clamp(max=source_frames - 1) for by in (9e-4, 11e-4))
        last = torch.maximum((end * source_frames - 9e-4).ceil() - 1, at_most)
        assert (shown >= first[:, None]).all()
        assert (shown <= last[:, None]).all()
        assert (shown.diff(dim=1) >= 0).all()


@given(augmentations, seeds)
def test_lengths_of_views(sta: TemporalAugmentation, seed: int) -> None:
    index, segment = torch.zeros(B, dtype=torch.long), torch.arange(B) % sta.segments
    synthetic = sta.of_synthetic(index, segment, seeded(seed))
    real = sta.of_real(index, seeded(seed))
    rounding = 1e-5
    for views, unit, longest in (
        (synthetic, 1 / sta.segments, 1.0),
        (real, sta.span, min(1.0, sta.span * sta.segments)),
    ):
        shown = views.end_B - views.start_B
        assert views.shortest == pytest.approx(unit / sta.speed)
        assert (shown >= views.shortest - rounding).all()
        assert (shown <= (longest if sta.window else unit) + rounding).all()


def test_without_windows_and_speed_a_view_is_its_segment() -> None:
    sta = TemporalAugmentation(segments=4, span=0.5, window=0.0, speed=1.0)
    index, segment = torch.tensor([3, 1, 2]), torch.tensor([0, 2, 3])
    views = sta.of_synthetic(index, segment, seeded())
    assert torch.equal(views.index_B, index)
    assert views.start_B.tolist() == [0, 0.5, 0.75]
    assert views.end_B.tolist() == [0.25, 0.75, 1]
    real = sta.of_real(index, seeded())
    torch.testing.assert_close(real.end_B - real.start_B, torch.full((3,), 0.5))
    assert len(set(real.start_B.tolist())) == 3


def test_windows_start_anywhere_and_take_any_length() -> None:
    sta = TemporalAugmentation(segments=4, span=1.0, window=1.0, speed=1.0)
    index = torch.zeros(2000, dtype=torch.long)
    views = sta.of_synthetic(index, index, seeded())
    lengths = views.end_B - views.start_B
    assert lengths.min() < 0.27
    assert lengths.max() > 0.97
    assert views.start_B.min() < 0.02
    assert views.end_B.max() > 0.98
    half = TemporalAugmentation(segments=4, span=1.0, window=0.5, speed=1.0).of_synthetic(index, index, seeded())
    are_segments = (half.end_B - half.start_B - 0.25).abs() < 1e-6
    assert 0.4 < are_segments.float().mean() < 0.6


def test_speed_shortens_what_is_shown_within_the_same_stretch() -> None:
    sta = TemporalAugmentation(segments=2, span=1.0, window=0.0, speed=4.0)
    index = torch.zeros(2000, dtype=torch.long)
    views = sta.of_synthetic(index, torch.ones_like(index), seeded())
    lengths = views.end_B - views.start_B
    assert 0.125 <= lengths.min() < 0.13
    assert 0.48 < lengths.max() <= 0.5
    assert (views.start_B >= 0.5).all()
    assert (views.end_B <= 1 + 1e-6).all()


@given(augmentations, seeds)
def test_the_generator_decides(sta: TemporalAugmentation, seed: int) -> None:
    index = torch.zeros(B, dtype=torch.long)
    for draw in (sta.of_real, lambda i, g: sta.of_synthetic(i, i, g)):
        one, two = draw(index, seeded(seed)), draw(index, seeded(seed))
        assert torch.equal(one.start_B, two.start_B)
        assert torch.equal(one.end_B, two.end_B)


@pytest.mark.parametrize("frames", [2, 6])
def test_reading_is_differentiable_and_keeps_the_value_range(frames: int) -> None:
    videos = film(4, 2).float().requires_grad_()
    views = Views(torch.tensor([1]), torch.tensor([0.0]), torch.tensor([0.5]), shortest=0.5)
    read(videos, views, frames).sum().backward()
    assert videos.grad is not None
    assert videos.grad[1].sum() == pytest.approx(3 * frames)
    assert (videos.grad[1, :2] > 0).all()
    assert not videos.grad[1, 2:].any()  # the other half
    assert not videos.grad[0].any()  # the other video
