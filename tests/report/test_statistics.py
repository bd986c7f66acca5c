from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from idtd_cli.report.statistics import apart, difference, interval


def answers(seed: int, students: int, videos: int, share: float = 0.6, spread: float = 0.0) -> NDArray[np.float64]:
    """Students of different skill, the same videos hard for all of them."""
    generator = np.random.default_rng(seed)
    skill_S1 = share + spread * generator.standard_normal((students, 1))
    return (generator.random((students, videos)) < skill_S1).astype(np.float64)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 50))
def test_an_interval_is_around_the_mean_and_within_0_and_1(seed: int, students: int, videos: int) -> None:
    right_SN = answers(seed, students, videos, spread=0.2)
    low, high = interval(right_SN)
    assert -1e-9 <= low <= right_SN.mean() + 1e-9
    assert right_SN.mean() - 1e-9 <= high <= 1 + 1e-9
    assert interval(right_SN) == (low, high)


def test_nothing_is_uncertain_where_all_are_right() -> None:
    assert interval(np.ones((3, 20))) == pytest.approx((1.0, 1.0))


def test_most_intervals_hold_the_truth() -> None:
    """Of 200 evaluations of the same students and as many videos; the binomial error of this share is 2 points."""
    held = [low <= 0.6 <= high for low, high in (interval(answers(seed, 5, 150)) for seed in range(200))]
    assert 0.9 <= np.mean(held) <= 1.0


def test_students_that_differ_make_it_wide() -> None:
    alike, unlike = interval(answers(1, 5, 400)), interval(answers(1, 5, 400, spread=0.15))
    assert unlike[1] - unlike[0] > 1.5 * (alike[1] - alike[0])


def test_a_difference_is_taken_pair_by_pair() -> None:
    """What is hard for both says nothing about their difference."""
    one = answers(3, 4, 300)
    two = one.copy()
    two[:, :30] = 0  # the same answers, but for some videos
    apart, low, high = difference(one, two)
    assert apart == pytest.approx(one[:, :30].sum() / one.size)
    assert 0 < low < apart < high
    assert high - low < interval(one)[1] - interval(one)[0]
    back, *ends = difference(two, one)
    assert back == pytest.approx(-apart)
    assert ends == pytest.approx([-high, -low])


def test_students_that_only_one_side_has_are_left_out() -> None:
    one, two = answers(4, 5, 50), answers(5, 2, 50)
    assert difference(one, two) == difference(one[:2], two)
    assert difference(one, one)[0] == 0


def test_means_are_apart_by_the_sides_that_face_each_other() -> None:
    assert apart(0.5, (0.1, 0.53), 0.8, (0.76, 1.0)) == pytest.approx(0.05)
    assert apart(0.8, (0.76, 1.0), 0.5, (0.1, 0.53)) == pytest.approx(0.05)
    assert apart(1.0, (1.0, 1.0), 1.0, (1.0, 1.0)) == 0


def test_two_reports_on_one_thing_are_rarely_farther_apart() -> None:
    """Five students each on the same 60 videos, 40 times over: no more than one in twenty says otherwise."""
    rng = np.random.default_rng(0)
    videos_N = rng.beta(2, 2, 60)  # how easy each is
    outside = 0
    for _ in range(40):
        first_SN, second_SN = ((rng.random((5, 60)) < videos_N).astype(float) for _ in range(2))
        means, spans = zip(*((x.mean(), interval(x)) for x in (first_SN, second_SN)), strict=True)
        outside += abs(means[0] - means[1]) > apart(means[0], spans[0], means[1], spans[1])
    assert outside <= 2
