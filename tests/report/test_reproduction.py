from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from idtd_cli.errors import InputError
from idtd_cli.report import statistics
from idtd_cli.report.document import ReportDocument, Result
from idtd_cli.report.reproduction import compared, need_sound
from tests.report.making import report, result


def published() -> tuple[ReportDocument, Result]:
    own = result("idtd", 1, [0.5, 0.7, 0.6], set="mine")
    theirs = result("idtd", 1, [0.1, 0.1], set="other")
    return report(result("full", None, [0.9]), theirs, own, result("random", 1, [0.3, 0.3])), own


def test_each_result_finds_its_like() -> None:
    then, own = published()
    now = report(
        result("full", None, [0.9, 0.8]),
        result("idtd", 1, [0.55], set="set"),
        result("idtd", 1, [0.2], set="set/plain", form="plain"),  # not published
        result("random", 1, [0.9]),
    )
    rows = compared(then, own, now)
    assert [(row.expected.of, row.expected.top1, row.found) for row in rows] == [
        ("full data", 0.9, pytest.approx(0.85)), ("IDTD", pytest.approx(0.6), 0.55), ("random real clips", 0.3, 0.9),
    ]  # fmt: skip
    assert [row.is_outside for row in rows] == [False, False, True]
    assert rows[1].expected.source == "3 students, a machine"


def test_a_figure_may_be_as_far_away_as_both_intervals_take_it() -> None:
    """0.6 with 0.45 to 0.75 against 0.3 ± 0.05: the sides that face each other are 0.15 and 0.05."""
    then, own = published()
    [row] = compared(then, own, report(result("idtd", 1, [0.3], set="set")))
    assert row.expected.within == pytest.approx((0.15**2 + 0.05**2) ** 0.5)
    assert row.is_outside


def measured(right_SN: NDArray[np.float64]) -> ReportDocument:
    """A report on students of two classes, as an evaluation would write it."""
    confusion = np.zeros((2, 2), int)
    for right_N in right_SN:
        for video, right in enumerate(right_N):
            confusion[video % 2, video % 2 if right else 1 - video % 2] += 1
    own = result(
        "idtd", 1, right_SN.mean(1).tolist(), interval=statistics.interval(right_SN), confusion=confusion.tolist()
    )  # fmt: skip
    return report(own, scored_videos=right_SN.shape[1])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_what_was_measured_does_not_contradict_itself(data: st.DataObject) -> None:
    """However few students and videos there are, and however they were right."""
    shape = (data.draw(st.integers(1, 6)), data.draw(st.integers(1, 24)))
    random = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    share = data.draw(
        st.sampled_from([random.random(), random.random((shape[0], 1)), random.random((1, shape[1])) ** 3])
    )
    need_sound(measured((random.random(shape) < share).astype(float)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"top1": {"mean": 0.99}}, "its mean is not that of its own students"),
        ({"top1": {"n": 2}}, "no share for each of its students"),
        ({"top1": {"values": (0.5, 0.7, 1.2)}}, "no share for each of its students"),
        ({"top1": {"values": (0.9, 0.9, 0.9), "mean": 0.9, "std": 0.0}, "interval": (0.8, 1.0)}, "of other answers"),
        ({"top1": {"std": 0.0}}, "its deviation is not that of its own students"),
        ({"confusion": ((40, 20), (20, 20))}, "its confusion matrix is of other answers"),
        ({"interval": (0.0, 0.5)}, "its interval lies beside its mean"),
        ({"interval": (0.7, 0.9)}, "its interval lies beside its mean"),
        ({"interval": (-1.0, 2.0)}, "its interval lies beside its mean"),
        ({"interval": (0.6, 0.6)}, "too narrow for how its students differ"),
        ({"interval": (0.0, 1.0)}, "too wide for that many students and videos"),
        ({"interval": (0.5, 1.0)}, "too wide for that many students and videos"),
    ],
)
def test_a_figure_that_contradicts_itself_is_no_figure(changes: dict[str, Any], reason: str) -> None:
    """Three students of 40 videos, who found 20, 24 and 28."""
    sound = measured((np.arange(40) < np.array([[20], [28], [24]])).astype(float))
    need_sound(sound)
    own = sound.results[0].model_dump()
    for key, change in changes.items():
        own[key] = own[key] | change if isinstance(change, dict) else change
    forged = sound.model_copy(update={"results": (Result.model_validate(own),)})
    with pytest.raises(InputError, match=f"The published figure of IDTD contradicts itself, .*: .*{reason}"):
        need_sound(forged)


def test_the_figure_of_a_set_is_of_that_set() -> None:
    own = result("pixel", 1, [0.99], set="mine")
    with pytest.raises(InputError, match="one of pixel matching, which it is not"):
        compared(report(own), own, report(result("idtd", 1, [0.6], set="set")))
