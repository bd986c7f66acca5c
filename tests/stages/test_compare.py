from __future__ import annotations

from pathlib import Path

import pytest

from idtd_cli.errors import InputError
from idtd_cli.report import comparison
from idtd_cli.report.document import ReportDocument
from idtd_cli.stages import compare
from tests.report.making import report, result


def write(folder: Path, content: ReportDocument) -> Path:
    folder.mkdir()
    content.write(folder)
    return folder


def test_the_best_of_each_size_comes_first_and_references_stand_once(tmp_path: Path) -> None:
    shared = (result("random", 1, [0.3, 0.3]), result("full", None, [0.9, 0.9]))
    one = write(tmp_path / "one", report(*shared, result("pixel", 1, [0.2, 0.38])))
    two = write(
        tmp_path / "two", report(*shared, result("idtd", 1, [0.6, 0.8]), result("idtd", 5, [0.8, 0.8], set="x"))
    )
    found = compare.run([one, two])
    assert [(Path(path).name, row.method, row.ipc) for path, row in found.rows] == [
        ("two", "idtd", 1), ("one", "random", 1), ("one", "pixel", 1), ("two", "idtd", 5), ("one", "full", None),
    ]  # fmt: skip
    text = comparison.render(found)
    assert text.startswith("bars: top-1 on 40 test videos of 2 classes")
    assert "70.0 ± 14.1" in text
    assert "*" not in text
    assert [row["method"] for row in found.as_json()["results"]] == ["idtd", "random", "pixel", "idtd", "full"]


def test_what_cannot_be_told_apart_is_marked(tmp_path: Path) -> None:
    one = write(tmp_path / "one", report(result("idtd", 1, [0.6], interval=(0.5, 0.7))))
    two = write(tmp_path / "two", report(result("idtd", 1, [0.55], interval=(0.45, 0.65)), result("random", 1, [0.3])))
    best, near, far, *_, note = comparison.render(compare.run([one, two])).splitlines()[4:]
    assert [line.split("  ")[0] for line in (best, near, far)] == ["IDTD", "IDTD *", "random real clips"]
    assert note.startswith("* its interval overlaps that of the best")


def test_reports_that_were_not_measured_alike_are_refused(tmp_path: Path) -> None:
    protocol = report().protocol
    shorter = protocol.model_copy(update={"fit": protocol.fit.model_copy(update={"steps": 30, "flip": True})})
    folders = [
        write(tmp_path / "a", report()),
        write(tmp_path / "alike", report(protocol=protocol.model_copy(update={"students": 9, "soft_labels": False}))),
        write(tmp_path / "shorter", report(protocol=shorter)),
        write(tmp_path / "elsewhere", report(parents={"prepared": "9999", "evaluate": "4567"})),
    ]
    with pytest.raises(InputError) as raised:
        compare.run(folders)
    _, *told = raised.value.message.splitlines()
    assert told == [
        f"  {folders[2]}: fit.steps: 500, there 30; fit.flip: False, there True",
        f"  {folders[3]}: prepared set: 0123, there 9999",
    ]
    assert len(compare.run(folders[:2]).rows) == 4  # random clips, full data and two sets of the same name


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        compare.run([tmp_path / "nothing"])
