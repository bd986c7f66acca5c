from __future__ import annotations

from pathlib import Path

import pytest

from idtd_cli.errors import InputError
from idtd_cli.report import comparison
from idtd_cli.report.document import Difference, ReportDocument
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
    assert [(Path(row.report).name, row.result.method, row.result.ipc) for row in found.rows] == [
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
    assert note.startswith("* the best of its size may be no better")


def test_pairs_of_one_report_say_more_than_intervals(tmp_path: Path) -> None:
    """Both intervals hold how the videos fell, which a pair has in common."""

    def told(other: str, low: float, high: float) -> Difference:
        return Difference(one="idtd", other=other, ipc=1, students=1, top1=(low + high) / 2, interval=(low, high))

    results = (
        result("idtd", 1, [0.6], interval=(0.5, 0.7)),
        result("pixel", 1, [0.5], interval=(0.4, 0.6)),
        result("random", 1, [0.45], interval=(0.35, 0.48)),
    )
    folder = write(
        tmp_path / "one", report(*results, differences=(told("pixel", 0.05, 0.15), told("random", -0.1, 0.3)))
    )
    found = compare.run([folder])
    assert [(row.result.method, row.level) for row in found.rows] == [
        ("idtd", False),
        ("pixel", False),
        ("random", True),
    ]
    assert [row["level"] for row in found.as_json()["results"]] == [False, False, True]


def test_reports_that_were_not_measured_alike_are_refused(tmp_path: Path) -> None:
    protocol = report().protocol
    told = {"students": 9, "soft_labels": False, "together": 3}
    shorter = protocol.model_copy(update={"fit": protocol.fit.model_copy(update={"steps": 30, "flip": True})})
    folders = [
        write(tmp_path / "a", report()),
        write(tmp_path / "alike", report(protocol=protocol.model_copy(update=told))),
        write(tmp_path / "shorter", report(protocol=shorter)),
        write(tmp_path / "elsewhere", report(parents={"prepared": "9999", "evaluate": "4567"})),
    ]
    with pytest.raises(InputError) as raised:
        compare.run(folders)
    _, *told = raised.value.message.splitlines()
    assert told == [
        f"  {folders[2]}: evaluate.fit.steps: 500, there 30; evaluate.fit.flip: false, there true",
        f"  {folders[3]}: prepared set: 0123, there 9999",
    ]
    assert len(compare.run(folders[:2]).rows) == 4  # random clips, full data and two sets of the same name


def test_other_data_are_named(tmp_path: Path) -> None:
    other = report(source="films", scored_videos=12, parents={"prepared": "9999"}, classes=("a", "b", "c"))
    with pytest.raises(InputError) as raised:
        compare.run([write(tmp_path / "a", report()), write(tmp_path / "b", other)])
    assert raised.value.message.splitlines()[1] == (
        f"  {tmp_path / 'b'}: data: bars, there films; prepared set: 0123, there 9999; classes: 2, there 3; "
        "scored videos: 40, there 12"
    )


def test_a_report_that_is_given_twice_stands_once(tmp_path: Path) -> None:
    one = write(tmp_path / "one", report())
    found = compare.run([one, one, write(tmp_path / "copy", report())])
    assert len(found.rows) == 3


def test_another_machine_is_told_and_not_refused(tmp_path: Path) -> None:
    one, same = write(tmp_path / "one", report()), write(tmp_path / "same", report(result("pixel", 1, [0.2])))
    other = write(tmp_path / "other", report(hardware="a GPU", versions={"python": "3", "torch": "3"}))
    found = compare.run([one, same, other])
    told = (
        "Not all were measured with the same machine and software, and may differ by that: hardware a machine or a "
        "GPU; torch 2 or 3."
    )
    assert found.as_json()["notes"] == (told,)
    assert comparison.render(found).endswith(f"\n\n{told}")
    assert compare.run([one, same]).notes == ()


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        compare.run([tmp_path / "nothing"])
