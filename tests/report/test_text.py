from __future__ import annotations

from idtd_cli.report import caveats, summary, text
from idtd_cli.report.document import Difference
from tests.report.making import report, result


def test_the_screen_says_what_was_scored_and_what_came_out_and_is_aligned() -> None:
    head, finding, table, *_ = text.render(report()).split("\n\n")
    assert head == (
        "bars: top-1 on 40 test videos of 2 classes (chance 50.0 %), mean ± std over students; intervals are of "
        "students and videos"
    )
    assert finding == summary.finding(report())
    lines = table.splitlines()
    assert len(lines) == 2 + 3
    assert len({len(line) for line in lines}) == 1
    assert set(lines[1]) == {"-"}
    assert "60.0 ± 14.1" in lines[3]


def test_differences_notes_and_warnings_follow() -> None:
    pair = Difference(one="static-dynamic", other="random", ipc=1, students=1, top1=0.2, interval=(0.1, 0.3))
    found = report(result("static-dynamic", 1, [0.5]), result("random", 1, [0.3]), differences=(pair,))
    *_, differences, note, warnings = text.render(found).split("\n\n")
    assert differences.splitlines() == summary.differences(found)
    assert [note] == summary.notes(found)
    assert warnings.splitlines() == [f"Warning: {line}" for line in caveats.caveats(found)] != []


def test_what_there_is_not_leaves_no_gap() -> None:
    assert "\n\n\n" not in text.render(report())
