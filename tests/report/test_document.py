from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli import documents
from idtd_cli.report.document import ReportDocument, Spread
from tests.report.making import report


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_spread(values: list[float]) -> None:
    spread = Spread.of(values)
    assert spread.n == len(spread.values) == len(values)
    assert spread.mean == pytest.approx(sum(values) / len(values))
    assert spread.std == pytest.approx(statistics.stdev(values))


def test_one_student_has_no_spread() -> None:
    assert Spread.of([0.25]) == Spread(mean=0.25, std=0, n=1, values=(0.25,))


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    report().write(tmp_path)
    assert documents.read(ReportDocument, tmp_path) == report()
