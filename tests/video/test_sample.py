from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli.recipe import ClipConfig
from idtd_cli.video import sample


def clip(stored: int, sampling: str, stride: int = 4) -> ClipConfig:
    return ClipConfig.model_validate({"frames": 1, "stored_frames": stored, "sampling": sampling, "stride": stride})


@given(
    frames=st.integers(1, 5000),
    stored=st.integers(1, 64),
    stride=st.integers(1, 16),
    sampling=st.sampled_from(["uniform", "strided"]),
    video_id=st.text(alphabet="abc/é 1", max_size=8),
)
def test_indices_rise_and_stay_in_range(frames: int, stored: int, stride: int, sampling: str, video_id: str) -> None:
    picks = sample.indices(frames, clip(stored, sampling, stride), video_id)
    assert picks.shape == (stored,)
    assert picks.min() >= 0
    assert picks.max() < frames
    assert (np.diff(picks) >= 0).all()
    if frames >= stored:
        assert (np.diff(picks) > 0).all()  # a frame is stored twice only where there are too few


@given(frames=st.integers(1, 500), stored=st.integers(1, 64))
def test_uniform_covers_the_whole_video(frames: int, stored: int) -> None:
    picks = sample.indices(frames, clip(stored, "uniform"), "")
    part = frames / stored
    assert (np.abs(picks + 0.5 - (np.arange(stored) + 0.5) * part) <= 0.5 + 1e-9).all()  # half a frame
    assert (picks + picks[::-1] >= frames - 2).all()  # as far from the start as from the end
    assert (picks + picks[::-1] <= frames).all()


def test_uniform_takes_middles_and_repeats_for_short_videos() -> None:
    assert sample.indices(8, clip(4, "uniform"), "").tolist() == [1, 3, 5, 7]
    assert sample.indices(9, clip(3, "uniform"), "").tolist() == [1, 4, 7]
    assert sample.indices(2, clip(4, "uniform"), "").tolist() == [0, 0, 1, 1]


def test_uniform_does_not_overflow_for_an_absurd_declared_count() -> None:
    picks = sample.indices(2**62, clip(32, "uniform"), "")
    assert (np.diff(picks) > 0).all()


def test_strided_keeps_the_stride_where_the_video_is_long_enough() -> None:
    picks = sample.indices(200, clip(16, "strided", 4), "a")
    assert set(np.diff(picks)) == {4}


@pytest.mark.parametrize(("frames", "stride"), [(63, 3), (40, 2), (17, 1), (16, 1)])
def test_strided_lowers_the_stride_for_a_short_video(frames: int, stride: int) -> None:
    assert set(np.diff(sample.indices(frames, clip(16, "strided", 4), "a"))) == {stride}


def test_strided_draws_its_start_by_the_id_alone() -> None:
    starts = {sample.indices(500, clip(16, "strided"), f"video {i}")[0] for i in range(50)}
    assert len(starts) > 30
    assert sample.indices(500, clip(16, "strided"), "x")[0] == sample.indices(500, clip(16, "strided"), "x")[0]


def test_each_draw_is_a_clip_of_its_own() -> None:
    """The first is what one draw alone would be, so that training clips do not depend on how many there are."""
    several = ClipConfig(frames=16, stored_frames=48, sampling="strided", stride=4, draws=3)
    found = {}
    for number in range(50):
        draws = sample.indices(300, several, f"video {number}").reshape(3, 16)
        assert (np.diff(draws, axis=1) == 4).all()
        assert (draws[0] == sample.indices(300, clip(16, "strided"), f"video {number}")).all()
        found[number] = tuple(draws[:, 0])
    assert len(set(found.values())) == 50
    assert sum(len(set(starts)) == 3 for starts in found.values()) > 40


def test_no_frames_have_no_indices() -> None:
    with pytest.raises(ValueError, match="without frames"):
        sample.indices(0, clip(4, "uniform"), "")
