"""How sure a figure is: bootstrap intervals over students and over videos at once.

A score varies with the student's weights and with the videos that happen to be in the split. Both are drawn anew, with
replacement, independently of each other; the interval holds the middle 95 % of what comes out (Efron & Tibshirani, "An
Introduction to the Bootstrap", 1993, chapter 13). With few students the interval is too narrow rather than too wide.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_DRAWS, _LEVEL = 2000, 0.95


def interval(right_SN: NDArray[np.float64]) -> tuple[float, float]:
    """Of the share of right answers that S students gave on N videos: each 1 or 0, or a share of the video's views."""
    return _interval(right_SN)


def difference(one_SN: NDArray[np.float64], two_SN: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean difference of two shares, and its interval, pair by pair: the same videos, and students of the same seeds.

    Students that only one side has are left out.
    """
    students = min(len(one_SN), len(two_SN))
    apart_SN = one_SN[:students] - two_SN[:students]
    return float(apart_SN.mean()), *_interval(apart_SN)


def apart(one: float, one_in: tuple[float, float], two: float, two_in: tuple[float, float]) -> float:
    """How far two means may be apart by chance, if no more is known of them than their intervals.

    Of each interval the side that faces the other mean counts, and both as if nothing was shared (Zou & Donner,
    "Construction of confidence limits about effect measures", Statistics in Medicine 27, 2008). Means over the same
    videos share those, so that this is more than chance takes them, rather than less.
    """
    lower, lower_in, upper, upper_in = (one, one_in, two, two_in) if one <= two else (two, two_in, one, one_in)
    return math.hypot(lower_in[1] - lower, upper - upper_in[0])


def _interval(values_SN: NDArray[np.float64]) -> tuple[float, float]:
    """The same draws for the same shape: figures do not change from one report to the next."""
    (students, videos), generator = values_SN.shape, np.random.default_rng(0)
    # How often each student and each video is drawn; a mean over what is drawn is a product with these.
    times_DS = generator.multinomial(students, np.full(students, 1 / students), _DRAWS) / students
    means_DN = times_DS @ values_SN
    drawn_D = np.empty(_DRAWS)
    for number in range(_DRAWS):  # one at a time: all at once would be as large as draws times videos, twice
        times_N = np.bincount(generator.integers(videos, size=videos), minlength=videos)
        drawn_D[number] = means_DN[number] @ times_N / videos
    low, high = np.quantile(drawn_D, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
