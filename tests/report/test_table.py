from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from idtd_cli import documents
from idtd_cli.recipe import Recipe
from idtd_cli.report import table
from idtd_cli.report.document import ReportDocument
from idtd_cli.report.table import Row, Scores, TableDocument
from tests import tiny
from tests.report.making import report, result

ARMS = {
    "whole method": {},
    "K = 1": {"distill.idtd.segments": 1},
    "seen | whole": {"evaluate.augmentation.views": "whole"},
}
PLAIN = report(
    result("idtd", 1, [0.5, 0.6], set="a0"),
    result("idtd", 1, [0.7, 0.8], set="a1"),
    result("idtd", 1, [0.60, 0.62], set="b0"),
    result("idtd", 1, [0.58, 0.60], set="b1"),
    result("random", 1, [0.2, 0.3]),
    result("random", 5, [0.9, 0.9]),
    result("full", None, [0.95], stored_bytes=40_000_000),
)
WHOLE = report(
    result("idtd", 1, [0.1, 0.1], set="a0"),
    result("idtd", 1, [0.3, 0.3], set="a1"),
    result("random", 1, [0.15, 0.25]),
    parents={"prepared": "0123", "evaluate": "89ab"},
)


def gridded(**changes: Any) -> Recipe:
    return tiny.recipe(grid={"seeds": 2, "axes": {"distill.ipc": [1, 5]}, "arms": ARMS} | changes, description="Test.")


def made(found: dict[str, tuple[ReportDocument, tuple[str, ...]]], **changes: Any) -> TableDocument:
    """A table in which these arms are done with one video a class, and nothing else is."""
    content = gridded(**changes)
    scores = {arm: Scores(scored, sets, 12.5) for arm, (scored, sets) in found.items()}
    cells = content.cells()
    return table.table(content, [(c, scores.get(c.arm) if c.recipes[0].distill.ipc == 1 else None) for c in cells])


BOTH = {"whole method": (PLAIN, ("a0", "a1")), "K = 1": (PLAIN, ("b0", "b1"))}
ALL = BOTH | {"seen | whole": (WHOLE, ("a0", "a1"))}


def rows(document: TableDocument) -> dict[str, Row]:
    found = {row.arm: row for row in document.rows}
    assert len(found) == len(document.rows)
    return found


def test_the_error_is_over_the_distillations_and_not_over_their_students() -> None:
    row = rows(made(BOTH))["whole method"]
    assert (row.seeds, row.students, row.n, row.error_over) == (2, 2, 4, "distillations")
    assert row.top1 == pytest.approx(0.65)
    assert row.top1_of_sets == pytest.approx((0.55, 0.75))
    assert row.error == pytest.approx(0.1)  # 0.55 and 0.75: standard deviation 0.2 / √2, over √2
    assert (row.method, row.seconds, row.report) == ("idtd", 12.5, PLAIN.digest())


def test_of_one_distillation_it_is_over_the_students_and_says_so() -> None:
    document = made({"whole method": (PLAIN, ("a1",))}, seeds=1)
    row = rows(document)["whole method"]
    assert (row.seeds, row.n, row.error_over) == (1, 2, "students")
    assert row.error == pytest.approx(0.05)
    assert "over the students of the one distillation" in table.render(document)
    assert "over the means of the 2 distillations" in table.render(made(BOTH))


def test_a_single_score_has_no_error_and_nothing_differs_from_it_by_a_number_of_them() -> None:
    document = made({"whole method": (PLAIN, ("a1",))}, seeds=1)
    full = rows(document)["full"]
    assert (full.error, full.difference) == (None, None)
    assert "| full data | 95.0 (1), 40.0 MB | – |" in table.to_markdown(document)


def test_differences_are_from_the_first_arm() -> None:
    found = rows(made(BOTH))
    assert found["whole method"].difference is None
    error = math.hypot(0.1, 0.01)  # of 0.61 and 0.59: 0.01
    assert found["K = 1"].difference == pytest.approx((0.60 - 0.65) / error)
    assert found["random"].difference == pytest.approx((0.25 - 0.65) / math.hypot(0.1, 0.05))
    without_first = made({"K = 1": BOTH["K = 1"]})
    assert {row.difference for row in without_first.rows} == {None}


def test_the_random_clips_are_those_of_as_many_videos_a_class_and_are_no_distillation() -> None:
    row = rows(made(BOTH))["random"]
    assert (row.method, row.seeds, row.n, row.error_over, row.seconds, row.top1_of_sets) == (
        "random", 0, 2, "students", None, (),
    )  # fmt: skip
    assert row.top1 == pytest.approx(0.25)


def test_arms_with_another_protocol_have_references_of_their_own() -> None:
    found = rows(made(ALL))
    assert list(found) == [*ARMS, "random", "random (seen | whole)", "full"]  # WHOLE has no student on the full data
    assert found["random (seen | whole)"].top1 == pytest.approx(0.2)
    assert found["random (seen | whole)"].report == WHOLE.digest() != found["random"].report


def test_random_clips_that_were_distilled_are_an_arm_and_no_reference() -> None:
    sets = report(
        result("idtd", 1, [0.5, 0.6], set="a0"),
        result("idtd", 1, [0.7, 0.8], set="a1"),
        result("random", 1, [0.3, 0.3], set="r0"),
        result("random", 1, [0.5, 0.5], set="r1"),
        result("random", 1, [0.2, 0.3]),
    )
    arms = {"whole method": {}, "random": {"distill.method": "random"}}
    document = made({"whole method": (sets, ("a0", "a1")), "random": (sets, ("r0", "r1"))}, arms=arms)
    _, arm, reference = document.rows
    assert (arm.seeds, arm.n, arm.error_over, arm.top1_of_sets) == (2, 4, "distillations", (0.3, 0.5))
    assert (reference.method, reference.seeds, reference.top1) == ("random", 0, pytest.approx(0.25))
    assert table.to_markdown(document).count("| random real clips |") == 2


def test_whether_soft_labels_are_learnt_makes_no_other_reference() -> None:
    arms = {"whole method": {}, "classes alone": {"evaluate.soft_labels": False}}
    classes = report(
        result("idtd", 1, [0.1, 0.1], set="a0"), result("random", 1, [0.2, 0.3]), parents={"evaluate": "89ab"}
    )
    found = {"whole method": (PLAIN, ("a0", "a1")), "classes alone": (classes, ("a0",))}
    assert list(rows(made(found, arms=arms))) == ["whole method", "classes alone", "random", "full"]


def test_a_reference_is_named_alike_whether_or_not_the_first_arm_is_done() -> None:
    assert list(rows(made({"seen | whole": ALL["seen | whole"]}))) == ["seen | whole", "random (seen | whole)"]


def test_the_parents_are_the_reports_and_what_was_scored_is_told_once() -> None:
    document = made(ALL)
    assert document.parents == {"report 1": PLAIN.digest(), "report 2": WHOLE.digest()}
    assert len(document.scored) == 1
    assert "on 40 test videos of 2 classes of bars (chance 50.0 %)" in table.render(document)


def test_to_read() -> None:
    header, rule, *lines = [line for line in table.to_markdown(made(ALL)).splitlines() if line.startswith("|")]
    assert header == "| trained on | ipc 1 (1.5 KB) | ipc 5 |"
    assert rule == "| --- | --- | --- |"
    assert lines == [
        "| whole method | 65.0 ± 10.0 (4) | – |",
        "| K = 1 | 60.0 ± 1.0 (4), within noise | – |",
        "| seen \\| whole | 20.0 ± 10.0 (4) | – |",
        "| random real clips | 25.0 ± 5.0 (2) | – |",
        "| random real clips (seen \\| whole) | 20.0 ± 5.0 (2) | – |",
        "| full data | 95.0 (1), 40.0 MB | – |",
    ]
    assert table.to_markdown(made(ALL)).startswith("# tiny\n\nTest.\n\n|")


def test_the_screen_is_aligned_and_has_the_same_figures() -> None:
    lines = table.render(made(ALL)).split("\n\n")[0].splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 2 + len(ARMS) + 3
    assert "60.0 ± 1.0 (4), within noise" in lines[3]


def test_nothing_done_is_a_table_too() -> None:
    document = made({})
    assert document.rows == ()
    assert "| K = 1 | – | – |" in table.to_markdown(document)
    assert table.render(document).split("\n\n")[1].startswith("Top-1 in per cent: mean")


def test_methods_are_the_arms_of_a_recipe_without_some() -> None:
    content = tiny.recipe(methods=["pixel", "idtd"], grid={"seeds": 2})
    [pixel, _] = content.cells()
    scores = Scores(report(result("pixel", 1, [0.5]), result("pixel", 1, [0.5], set="b")), ("pixel", "b"), None)
    document = table.table(content, [(pixel, scores), (_, None)])
    assert (document.arms, document.axes, document.headings) == (("pixel", "idtd"), {}, ("top-1 %",))
    assert "| pixel matching | 50.0 ± 0.0 (2) |\n| IDTD | – |" in table.to_markdown(document)


def test_an_arm_is_called_as_its_recipe_calls_it() -> None:
    content = tiny.recipe(grid={"arms": {"pixels": {"distill.method": "pixel"}, "pixel": {}, "random": {}}})
    scored = report(result("pixel", 1, [0.5]), result("idtd", 1, [0.5]), result("random", 1, [0.5]))
    sets = ("pixel", "idtd", "idtd")
    cells = [(c, Scores(scored, (name,), None)) for c, name in zip(content.cells(), sets, strict=True)]
    names = [line.split("  ")[0] for line in table.render(table.table(content, cells)).splitlines()[2:6]]
    assert names == ["pixels", "pixel", "random", "random real clips"]


def test_a_spreadsheet_can_read_it() -> None:
    document = made(ALL, axes={"distill.ipc": [1, 5], "method": {"a": {}}})
    lines = list(csv.DictReader(io.StringIO(table.to_csv(document))))
    assert len(lines) == len(document.rows)
    first = lines[0]
    assert (first["arm"], first["distill.ipc"], first["axis method"], first["method"]) == (
        "whole method", "1", "a", "idtd",
    )  # fmt: skip
    assert (first["top1"], first["error"], first["difference"]) == ("0.650000", "0.100000", "")
    assert first["top1_of_sets"] == "0.550000 0.750000"
    assert (first["stored_bytes"], first["stored_frames"], first["stored_parameters"]) == ("1500", "16", "0")
    assert first["report"] == PLAIN.digest()
    assert float(lines[1]["difference"]) == pytest.approx(rows(document)["K = 1"].difference, abs=1e-6)


def test_what_is_known_of_a_method_is_said() -> None:
    content = tiny.recipe(methods=["static-dynamic"], grid={"seeds": 2})
    scored = report(result("static-dynamic", 1, [0.5]), result("static-dynamic", 1, [0.5], set="b"))
    document = table.table(content, [(content.cells()[0], Scores(scored, ("static-dynamic", "b"), None))])
    assert "static-dynamic is counted as what its videos are rendered from" in table.to_markdown(document)
    assert "static-dynamic" not in table.to_markdown(made(ALL))


def test_on_disk_it_is_what_it_was(tmp_path: Path) -> None:
    document = made(ALL)
    document.write(tmp_path)
    assert documents.read(TableDocument, tmp_path) == document
    assert json.loads((tmp_path / "table.json").read_bytes())["kind"] == "table"
    assert table.to_markdown(documents.read(TableDocument, tmp_path)) == table.to_markdown(document)
