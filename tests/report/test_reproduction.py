from __future__ import annotations

import pytest

from idtd_cli.errors import InputError
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


@pytest.mark.parametrize(
    "changes",
    [
        {"top1": {"mean": 0.99, "std": 0.1, "n": 3, "values": (0.5, 0.7, 0.6)}},
        {"top1": {"mean": 0.6, "std": 0.1, "n": 2, "values": (0.5, 0.7, 0.6)}},
        {"interval": (0.0, 0.5)},
        {"interval": (0.7, 0.9)},
        {"interval": (-1.0, 2.0)},
    ],
)
def test_a_figure_that_contradicts_itself_is_no_figure(changes: dict[str, object]) -> None:
    with pytest.raises(InputError, match="not that of its own students"):
        need_sound(Result.model_validate(published()[1].model_dump() | changes))


def test_the_figure_of_a_set_is_of_that_set() -> None:
    own = result("pixel", 1, [0.99], set="mine")
    with pytest.raises(InputError, match="one of pixel matching, which it is not"):
        compared(report(own), own, report(result("idtd", 1, [0.6], set="set")))
