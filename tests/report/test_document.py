from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli import documents
from idtd_cli.errors import InputError
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


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"results": []}, "no result of the student convnet3d"),
        ({"classes": ["left"]}, "the confusion of .* is not of the 1 classes"),
        ({"scored_videos": 0}, "damaged at scored_videos"),
        ({"results.0.method": "magic"}, "damaged at results.0.method"),
        ({"results.0.top1.n": 0}, "damaged at results.0.top1.n"),
        ({"protocol.across": ["r3d-18"]}, "the student r3d-18 was not trained on all that convnet3d was"),
        (
            {"differences": [{"one": "x", "other": "random", "ipc": 1, "students": 1, "top1": 0, "interval": [0, 0]}]},
            "a difference is of x from random, which are not both results",
        ),
    ],
)
def test_a_report_whose_parts_contradict_each_other_is_refused(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    path = report().write(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["sha256"]  # which whoever changes a report could write as well
    for key, value in change.items():
        *outer, last = key.split(".")
        inner = content
        for part in outer:
            inner = inner[int(part) if part.isdecimal() else part]
        inner[last] = value
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=says):
        documents.read(ReportDocument, tmp_path)
