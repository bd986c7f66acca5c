from __future__ import annotations

from typing import Any

import pytest

from idtd_cli.recipe import Expectation
from idtd_cli.report import expectation, table
from idtd_cli.report.table import Scores
from tests import tiny
from tests.report.making import report, result


def expected(of: str, top1: float | None, within: float | None = 0.05, **more: Any) -> Expectation:
    return Expectation(of=of, top1=top1, within=within if top1 is not None else None, source="me", **more)


def test_a_figure_is_within_or_outside() -> None:
    ones = (expected("idtd", 0.62), expected("random", 0.35), expected("full", None), expected("pixel", 0.5))
    found = expectation.in_report(ones, None, report())
    assert [(one.found, one.is_outside, one.verdict) for one in found] == [
        (pytest.approx(0.6), False, "as expected"),
        (pytest.approx(0.3), False, "as expected"),
        (pytest.approx(0.9), False, "nothing to compare with"),
        (None, False, "not run"),
    ]
    (far,) = expectation.in_report((expected("idtd", 0.5),), None, report())
    assert (far.is_outside, far.verdict) == (True, "OUTSIDE")
    text = expectation.render([*found, far])
    assert "62.0 ± 5.0" in text
    assert "60.0" in text


def test_what_is_for_other_data_is_left_out() -> None:
    ones = (expected("idtd", 0.6), expected("idtd", 0.1, data="bars"))
    assert [one.expected.top1 for one in expectation.in_report(ones, None, report())] == [0.6]
    assert [one.expected.top1 for one in expectation.in_report(ones, "bars", report())] == [0.1]
    assert expectation.in_report(ones, "others", report()) == []


def test_a_cell_is_named_by_its_arm_and_its_place() -> None:
    expect = [
        {"of": "whole", "at": {"ipc": 5}, "top1": 0.8, "within": 0.1, "source": "me"},
        {"of": "whole", "at": {"ipc": 1}, "top1": 0.8, "within": 0.1, "source": "me"},
        {"of": "random", "at": {"ipc": 1}, "top1": 0.25, "within": 0.01, "source": "me"},
    ]
    content = tiny.recipe(grid={"axes": {"distill.ipc": [1, 5]}, "arms": {"whole": {}}}, expect=expect)
    scored = report(*(result("idtd", ipc, [0.75], set=f"a{ipc}") for ipc in (1, 5)), result("random", 1, [0.2, 0.3]))
    made = table.table(content, [(c, Scores(scored, (f"a{c.recipes[0].distill.ipc}",), 1.0)) for c in content.cells()])
    found = expectation.in_table(content, None, made)
    assert [one.found for one in found] == [0.75, 0.75, 0.25]
    assert not any(one.is_outside for one in found)
    assert "whole, ipc 5" in expectation.render(found)
