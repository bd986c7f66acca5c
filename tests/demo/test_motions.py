from __future__ import annotations

import numpy as np
import pytest

from idtd_cli.demo.motions import MOTIONS, Course, Pose, draw_clip, draw_pose

FRAMES = 32
FIELDS = ("x_T", "y_T", "size_T", "angle_T")


def pose(motion: str | None, seed: int) -> Pose:
    return draw_pose(motion, FRAMES, np.random.default_rng(seed))


def values(found: Pose) -> np.ndarray:
    """(4, T)"""
    return np.stack([getattr(found, field) for field in FIELDS])


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_class_moves_one_coordinate_and_no_other(motion: str) -> None:
    coordinate, _ = MOTIONS[motion]
    for seed in range(20):
        moved = np.ptp(values(pose(motion, seed)), axis=1) > 0
        assert [field for field, moves in zip(FIELDS, moved, strict=True) if moves] == [f"{coordinate}_T"]


def test_a_shape_at_rest_rests() -> None:
    assert np.ptp(values(pose(None, 0)), axis=1).max() == 0


@pytest.mark.parametrize(
    ("one", "other"), [("slide_left", "slide_right"), ("slide_up", "slide_down"), ("turn_left", "turn_right")]
)
def test_opposites_are_each_other_backwards(one: str, other: str) -> None:
    field = f"{MOTIONS[one][0]}_T"
    np.testing.assert_allclose(getattr(pose(one, 3), field), getattr(pose(other, 3), field)[::-1], atol=1e-6)


def test_names_say_the_direction() -> None:
    assert np.all(np.diff(pose("slide_right", 0).x_T) > 0)
    assert np.all(np.diff(pose("slide_down", 0).y_T) > 0)  # the y axis points down
    assert np.all(np.diff(pose("grow", 0).size_T) > 0)
    assert np.all(np.diff(pose("turn_right", 0).angle_T) > 0)  # clockwise, with y down
    sway = pose("sway_sideways", 0).x_T
    assert sway[0] == pytest.approx(sway[-1], abs=1e-6) == sway.min()
    assert sway.argmax() in (FRAMES // 2 - 1, FRAMES // 2)


@pytest.mark.parametrize("course", {course for _, course in MOTIONS.values()})
@pytest.mark.parametrize("frames", [2, 3, 8, 31])
def test_every_course_spends_half_of_its_time_in_either_half(course: Course, frames: int) -> None:
    way = course(np.linspace(0, 1, frames, dtype=np.float32))
    assert np.mean(way) == pytest.approx(0.5, abs=0.5 / frames**2 + 1e-6)
    assert way.min() >= 0
    assert way.max() <= 1


@pytest.mark.parametrize("field", FIELDS)
def test_a_single_frame_follows_the_same_law_in_every_class(field: str) -> None:
    """Kolmogorov-Smirnov between each class and all: the pose in a random frame does not tell the class."""
    count = 4000
    samples = {}
    for label, motion in enumerate(MOTIONS):
        rng = np.random.default_rng(label)
        samples[motion] = np.array(
            [getattr(draw_pose(motion, FRAMES, rng), field)[rng.integers(FRAMES)] for _ in range(count)]
        )
    pooled = np.sort(np.concatenate(list(samples.values())))
    everyone = np.arange(1, len(pooled) + 1) / len(pooled)
    for motion, sample in samples.items():
        within = np.searchsorted(np.sort(sample), pooled, side="right") / count
        # 0.033 is the 99.98 % point for this many samples.
        assert np.abs(within - everyone).max() < 0.033, motion


def test_the_state_of_the_generator_decides_the_clip() -> None:
    one, two, other = (draw_clip("grow", 8, 32, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (8, 32, 32, 3)
    assert one.dtype == np.uint8
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_a_growing_shape_covers_more_and_more() -> None:
    bright = np.mean([draw_clip("grow", 8, 32, np.random.default_rng(n)).mean((1, 2, 3)) for n in range(20)], axis=0)
    assert np.all(np.diff(bright) > 0)
