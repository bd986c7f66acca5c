from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from idtd_cli import documents
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.prepared import PreparedDocument
from idtd_cli.recipe import Recipe
from idtd_cli.report.document import ReportDocument
from idtd_cli.report.table import TableDocument
from idtd_cli.run_folder import RESULT
from idtd_cli.stages import demo_data, distill, experts, reproduce, show, tabulate
from idtd_cli.students import scoring
from tests import tiny
from tests.tiny import Heard, Impatient, contents

#: Two arms share a distillation, one has clips of its own.
ARMS = {
    "whole method": {},
    "pixel": {"distill.method": "pixel"},
    "seen whole": {"evaluate.augmentation.views": "whole"},
    "short clips": {"prepare.clip.frames": 2},
}


def gridded(arms: dict[str, Any] = ARMS, ipc: tuple[int, ...] = (1,), **changes: Any) -> Recipe:
    grid = {"seeds": 2, "axes": {"distill.ipc": ipc} if ipc else {}, "arms": arms}
    return tiny.recipe(grid=grid, distill__steps=2, evaluate__fit={"steps": 2, "batch": 4}, **changes)


def fill(out: Path, videos: Path, content: Recipe, *only: str, progress: Heard | None = None) -> TableDocument:
    return tabulate.run(content, only, out, videos, "cpu", progress or Heard())


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each matching and each student from here on, as `match` and `score`."""
    names: list[str] = []

    def recorded(stage: Any, what: str) -> None:
        original = getattr(stage, what)

        def record(*given: Any, **options: Any) -> Any:
            names.append(what)
            return original(*given, **options)

        monkeypatch.setattr(stage, what, record)

    recorded(distill, "match")
    recorded(scoring, "score")
    return names


@pytest.fixture(scope="module")
def done(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tabulate") / "out"
    fill(out, videos, gridded())
    return out


def names(folder: Path) -> list[str]:
    """What is within, without the digests in its names."""
    return sorted(re.sub(r"-[0-9a-f]{8}(?=-|$)", "", path.name) for path in folder.iterdir())


def test_what_cells_share_is_made_once(done: Path) -> None:
    assert names(done) == ["prepared", "reports", "runs", "sets", "table.csv", "table.json", "table.md", "table.png",
        "table.svg",
    ]  # fmt: skip
    assert names(done / "prepared") == ["2x16x16", "4x16x16"]
    runs = [f"{run}-{seed}" for run in ("idtd-ipc1", "idtd-ipc1-frames_2", "pixel-ipc1") for seed in (0, 1)]
    assert names(done / "runs") == names(done / "sets") == sorted(runs)
    assert names(done / "reports") == ["convnet3d", "convnet3d-frames_2", "convnet3d-views_whole"]


def test_every_cell_is_a_row_and_its_figures_are_those_of_its_report(done: Path) -> None:
    table = documents.read(TableDocument, done)
    cells = [row for row in table.rows if row.seeds]
    assert [row.arm for row in cells] == list(ARMS)
    reports = {documents.read(ReportDocument, path).digest(): path for path in (done / "reports").iterdir()}
    assert set(reports) == {row.report for row in cells} == set(table.parents.values())
    for row in cells:
        results = documents.read(ReportDocument, reports[row.report]).results
        scored = {result.top1.mean for result in results if result.method == row.method}
        assert set(row.top1_of_sets) <= scored
        assert (row.n, row.students) == (4, 2)
        assert row.seconds is not None
    assert cells[0].report != cells[2].report
    assert {row.arm for row in table.rows if not row.seeds} >= {"random", "random (seen whole)", "random (short clips)"}


def test_a_cell_is_what_the_stages_make_of_its_recipe_by_hand(done: Path, videos: Path, tmp_path: Path) -> None:
    cell = gridded().cells()[1].recipes[1]
    assert (cell.distill.method, cell.distill.seed) == ("pixel", 1)
    [prepared] = [p for p in (done / "prepared").iterdir() if p.name.startswith("4x")]
    made = tiny.export(tiny.distil(prepared, tmp_path / "run", cell), tmp_path / "set")
    [there] = (done / "sets").glob("pixel-*-1")
    shard = "data/train-000000-of-000001.tar"
    assert (made / shard).read_bytes() == (there / shard).read_bytes()
    report = documents.read(ReportDocument, tiny.evaluate([made], prepared, tmp_path / "report", cell))
    row = next(row for row in documents.read(TableDocument, done).rows if row.arm == "pixel")
    assert row.top1_of_sets[1] == report.results[0].top1.mean


def test_a_second_time_there_is_nothing_to_do(done: Path, videos: Path, worked: list[str]) -> None:
    before, heard = contents(done), Heard()
    table = fill(done, videos, gridded(), progress=heard)
    assert worked == []
    assert heard.advanced == 0
    assert "4 of 4 cells are done: nothing to do for them." in heard.notes
    assert contents(done) == before
    assert table == documents.read(TableDocument, done)


def test_show_says_what_it_is(done: Path) -> None:
    text = show.run(done)
    assert text.startswith(f"{done}: table, written by idtd")
    assert "\nseen whole " in text


def test_progress_says_which_cell_of_how_many_and_the_time_left(done: Path, videos: Path, tmp_path: Path) -> None:
    heard = Heard()
    shutil.copytree(done / "prepared", tmp_path / "out" / "prepared")
    content = gridded({"a": {}, "b": {"distill.method": "pixel"}}, distill__seed=5)
    fill(tmp_path / "out", videos, content, progress=heard)
    assert {path.name[-2:] for path in (tmp_path / "out/runs").iterdir()} == {"-5", "-6"}
    said = [note for note in heard.notes if "Cell" in note or "cells" in note]
    assert said[0] == "Cell 1 of 2: a, ipc 1."
    assert said[1].startswith("1 of 2 cells done in ")
    assert said[1].endswith(" left.")
    assert said[2] == "Cell 2 of 2: b, ipc 1."
    assert said[3].startswith("2 of 2 cells done in ")
    assert "left" not in said[3]


def test_chosen_cells_first_and_the_rest_later_is_all_at_once(
    done: Path, videos: Path, tmp_path: Path, worked: list[str]
) -> None:
    out = tmp_path / "out"
    table = fill(out, videos, gridded(), "ipc=1,arm=pixel", "arm=seen whole")
    assert [row.arm for row in table.rows if row.seeds] == ["pixel", "seen whole"]
    assert names(out / "prepared") == ["4x16x16"]
    assert worked.count("match") == 4
    scored = worked.count("score")
    assert scored == 2 * (2 * 2 + 2 + 1)  # in each of two reports: two sets and random clips, two students; full data
    fill(out, videos, gridded())
    assert worked.count("match") == 4 + 2  # the whole method is distilled already, for those who see it whole
    assert worked.count("score") - scored == 2 * 2 + (2 * 2 + 2 + 1)  # no reference is trained twice
    ours, theirs = documents.read(TableDocument, out), documents.read(TableDocument, done)
    assert [row.model_copy(update={"report": "", "seconds": 0}) for row in ours.rows] == [
        row.model_copy(update={"report": "", "seconds": 0}) for row in theirs.rows
    ]
    assert {p.name for p in (out / "sets").iterdir()} == {p.name for p in (done / "sets").iterdir()}
    for path in (out / "sets").iterdir():
        assert contents(path) == contents(done / "sets" / path.name)


def test_a_recipe_may_get_and_lose_arms(done: Path, videos: Path, tmp_path: Path, worked: list[str]) -> None:
    out = Path(shutil.copytree(done, tmp_path / "out"))
    changed = {"new": {"distill.idtd.segments": 1}, "pixel": ARMS["pixel"]}
    table = fill(out, videos, gridded(changed))
    assert [row.arm for row in table.rows if row.seeds] == ["new", "pixel"]
    assert (worked.count("match"), worked.count("score")) == (2, 2 * 2)
    worked.clear()
    assert [row.arm for row in fill(out, videos, gridded()).rows if row.seeds] == list(ARMS)
    assert worked == []


@pytest.mark.parametrize("after", [0, 4, 8, 18])
def test_it_goes_on_where_it_was_stopped(done: Path, videos: Path, tmp_path: Path, after: int) -> None:
    """In the first distillation, the second, and among the students of the first cell and of the second."""
    content, out = gridded({name: ARMS[name] for name in ("whole method", "pixel")}), tmp_path / "out"
    shutil.copytree(done / "prepared", out / "prepared")
    with pytest.raises(KeyboardInterrupt):
        fill(out, videos, content, progress=Impatient(after))
    fill(out, videos, content)
    for path in (out / "runs").iterdir():
        assert (path / RESULT).read_bytes() == (done / "runs" / path.name / RESULT).read_bytes()
        assert contents(out / "sets" / path.name) == contents(done / "sets" / path.name)
    theirs = {row.arm: row for row in documents.read(TableDocument, done).rows}
    for row in documents.read(TableDocument, out).rows:
        assert (row.top1, row.error) == (theirs[row.arm].top1, theirs[row.arm].error)


def test_experts_are_trained_once_for_all_cells_that_look_through_them(
    done: Path, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(done / "prepared", tmp_path / "out" / "prepared")
    trained: list[Path] = []
    run = experts.run
    monkeypatch.setattr(experts, "run", lambda prepared, out, *rest: trained.append(out) or run(prepared, out, *rest))
    herding = {"distill.matching": "mtt", "distill.method": "herding"}
    arms = {"mtt": {"distill.matching": "mtt", "distill.mtt.student_steps": 1}, "dm": {}, "herding": herding}
    content = gridded(arms, experts={"count": 1, "every": 1, "fit": {"steps": 4}}, distill__coreset__fit__steps=1)
    table = fill(tmp_path / "out", videos, content)
    assert [row.arm for row in table.rows if row.seeds] == list(arms)
    assert len(trained) == 2
    assert len(set(trained)) == 1
    assert table.rows[2].seconds is None  # a coreset takes no steps


def test_a_cell_that_fails_is_named_and_the_others_are_done(done: Path, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(done / "prepared", out / "prepared")
    arms = {"many": {"distill.ipc": 9}, "wild": {"distill.method": "herding"}, "whole method": {}}
    content = gridded(arms, ipc=(), distill__coreset__fit={"steps": 4, "batch": 4, "step_size": 1e30})
    for _ in range(2):
        heard = Heard()
        with pytest.raises(IdtdError) as raised:
            fill(out, videos, content, progress=heard)
        assert raised.value.exit_code == 1
        assert raised.value.message.startswith("2 cells could not be done: many (Class ")
        assert "; wild (" in raised.value.message
        assert raised.value.hint == f"The others are in {out / 'table.md'}."
        assert [row.arm for row in documents.read(TableDocument, out).rows if row.seeds] == ["whole method"]
        assert any(note.startswith("many could not be done: Class ") for note in heard.notes)


def test_where_videos_are_decoded_makes_no_other_cell(done: Path, videos: Path, tmp_path: Path) -> None:
    content = gridded(prepare__decode={"workers": 1})
    work = [tabulate._Work(each, tmp_path, "cpu", Heard()) for each in (gridded(), content)]
    for a, b in zip(gridded().cells(), content.cells(), strict=True):
        assert work[0].prepared(a.recipes[0]) == work[1].prepared(b.recipes[0])
        assert work[0]._run(a.recipes[0]) == work[1]._run(b.recipes[0])
        assert work[0]._report(a.recipes[0]) == work[1]._report(b.recipes[0])


def test_other_students_of_the_validation_make_another_distillation(
    done: Path, videos: Path, tmp_path: Path, worked: list[str]
) -> None:
    """Those of the recipe, which decide the result; those of an arm, and how many are scored, do not."""
    out = tmp_path / "out"
    shutil.copytree(done / "prepared", out / "prepared")
    arms = {"whole method": {}, "seen whole": ARMS["seen whole"]}
    options = {"distill__validate_every": 1, "distill__validate_students": 1}
    content = gridded(arms, **options)
    fill(out, videos, content)
    assert worked.count("match") == 2
    fill(out, videos, content.model_copy(update={"evaluate": content.evaluate.model_copy(update={"students": 1})}))
    assert worked.count("match") == 2
    fit = content.evaluate.fit.model_copy(update={"step_size": 0.5})
    fill(out, videos, content.model_copy(update={"evaluate": content.evaluate.model_copy(update={"fit": fit})}))
    assert worked.count("match") == 4


def test_how_many_students_train_at_once_makes_no_other_cell(
    done: Path, videos: Path, tmp_path: Path, worked: list[str]
) -> None:
    out = Path(shutil.copytree(done, tmp_path / "out"))
    content = gridded()
    at_once = content.evaluate.model_copy(update={"together": 2})
    fill(out, videos, content.model_copy(update={"evaluate": at_once}))
    assert worked == []
    assert sorted(path.name for path in (out / "reports").iterdir()) == sorted(
        path.name for path in (done / "reports").iterdir()
    )


def test_sets_that_were_removed_stand_in_no_others_way(
    done: Path, videos: Path, tmp_path: Path, worked: list[str]
) -> None:
    out = Path(shutil.copytree(done, tmp_path / "out"))
    for folder in (out / "sets", out / "runs"):
        for path in folder.glob("pixel-*"):
            shutil.rmtree(path)
    content = gridded({"whole method": {}, "new": {"distill.idtd.segments": 1}})
    assert [row.arm for row in fill(out, videos, content).rows if row.seeds] == ["whole method", "new"]
    assert (worked.count("match"), worked.count("score")) == (2, 2 * 2)


def test_other_settings_lie_in_other_folders(done: Path, videos: Path, tmp_path: Path, worked: list[str]) -> None:
    """So a recipe that is changed after a run neither mixes the two nor is refused."""
    out = Path(shutil.copytree(done, tmp_path / "out"))
    fill(out, videos, gridded({"whole method": {}}, distill__batch_real=3))
    assert names(out / "runs").count("idtd-ipc1-0") == 2
    assert worked.count("match") == 2
    fill(out, videos, gridded())
    assert worked.count("match") == 2


@pytest.mark.parametrize(
    ("only", "message", "hint"),
    [
        ("ipc=5", "--only ipc=5: ipc is never 5.", "It is 1 or 2."),
        ("distill.ipc=5", "--only distill.ipc=5: distill.ipc is never 5.", "It is 1 or 2."),
        ("arm=K", "--only arm=K: arm is never K.", "It is a or b, ipc 2."),
        ("ipc=1,arm=c,ipc=2", "arm is never c.", "It is a or b, ipc 2."),
        ("seed=1", "the grid has no seed.", "It has arm, ipc."),
        ("1", "the grid has no 1.", "It has arm, ipc."),
        ("", "the grid has no axis without a name.", "It has arm, ipc."),
        ("ipc", "ipc is never empty.", "It is 1 or 2."),
        ("ipc=", "ipc is never empty.", "It is 1 or 2."),
    ],
)
def test_only_what_there_is_can_be_chosen(videos: Path, tmp_path: Path, only: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as raised:
        fill(tmp_path / "out", videos, gridded({"a": {}, "b, ipc 2": {}}, (1, 2)), "ipc=1", only)
    assert message in raised.value.message
    assert raised.value.hint == hint
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        ([], ["a, 1", "b,c=d, 1", "a, 2", "b,c=d, 2"]),
        (["ipc=2"], ["a, 2", "b,c=d, 2"]),
        (["distill.ipc=2, arm=a"], ["a, 2"]),
        (["arm=b,c=d,ipc=1"], ["b,c=d, 1"]),
        (['ipc = 1,arm="b,c=d"'], ["b,c=d, 1"]),
        (["ipc=1,ipc=2,arm=a"], ["a, 1", "a, 2"]),
        (["ipc=2,arm=b,c=d", "ipc=1,arm=a", "ipc=1,arm=a"], ["a, 1", "b,c=d, 2"]),
    ],
)
def test_choosing(only: list[str], chosen: list[str]) -> None:
    content = gridded({"a": {}, "b,c=d": {}}, (1, 2))
    assert [str(cell).replace("ipc ", "") for cell in tabulate.choose(content, content.cells(), only)] == chosen


def test_a_plain_reproduction_and_a_table_do_not_mix(done: Path, videos: Path, tmp_path: Path) -> None:
    before = contents(done)
    with pytest.raises(InputError, match="already holds something else"):
        reproduce.run(tiny.recipe(), done, videos, "cpu", Heard())
    assert contents(done) == before
    plain = tmp_path / "plain"
    shutil.copytree(next((done / "prepared").iterdir()), plain / "prepared")
    with pytest.raises(InputError, match="holds what a recipe without a grid made"):
        fill(plain, videos, gridded())
    (tmp_path / "report").mkdir()
    with pytest.raises(InputError, match="already holds something else"):
        fill(tmp_path, videos, gridded())


def test_another_source_is_refused(done: Path, tmp_path: Path) -> None:
    before = contents(done)
    others = tmp_path / "others"
    demo_data.run(others, classes=3, train=4, test=2, size=32, frames=12, seed=1, progress=Heard())
    with pytest.raises(InputError, match="another source"):
        fill(done, others, gridded())
    assert contents(done) == before


def test_a_network_that_cannot_take_the_clips_of_one_cell_stops_before_anything_is_made(
    videos: Path, tmp_path: Path
) -> None:
    network = {"widths": [2] * 4, "strides": [1] * 4, "kernel": [1, 1, 1]}
    with pytest.raises(InputError, match="too small for block 4"):
        fill(tmp_path / "out", videos, gridded({"a": {}, "b": {"evaluate.student": network}}))
    assert contents(tmp_path) == {}


def test_names_of_folders_are_short_safe_and_differ(tmp_path: Path) -> None:
    arms = {
        str(n): {"distill.network": {"widths": [4, n], "strides": [1, 1]}, "distill.idtd.pool.start": "random"}
        for n in (4, 5)
    }
    work = tabulate._Work(content := gridded(arms), tmp_path, "cpu", Heard())
    names = {work._run(recipe).name for cell in content.cells() for recipe in cell.recipes}
    assert len(names) == 4
    for name in names:
        assert len(name) < 80
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def test_a_prepared_set_that_was_made_anew_makes_its_cells_undone(done: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(done, tmp_path / "out"))
    work, cell = tabulate._Work(gridded(), out, "cpu", Heard()), gridded().cells()[0]
    assert work.scores(cell) is not None
    folder = work.prepared(cell.recipes[0])
    document = documents.read(PreparedDocument, folder)
    document.model_copy(update={"source": "other"}).write(folder)
    assert work.scores(cell) is None


def test_figures_are_drawn_of_the_arms_at_the_first_place(videos: Path, tmp_path: Path) -> None:
    arms: dict[str, Any] = {"whole method": {}, "pixel": {"distill.method": "pixel"}}
    names = ("redundancy", "temporal", "qualitative")
    grid = {"seeds": 2, "arms": arms, "figures": names}
    content = tiny.recipe(grid=grid, distill__steps=2, evaluate__fit={"steps": 2, "batch": 4})
    out = tmp_path / "out"
    fill(out, videos, content, "arm=pixel")
    assert {path.name for path in out.glob("*.png")} == {"table.png"}  # an arm is missing
    fill(out, videos, content)
    expected = {f"{name}.{end}" for name in (*names, "table") for end in ("png", "svg", "csv", "md")}
    assert {path.name for path in out.iterdir() if path.suffix != ".json" and path.is_file()} == expected
    pieces = (out / "temporal.md").read_text()
    for row in ("real clips, as 2 pieces", "real clips", "whole method", "pixel"):
        assert f"| {row} | " in pieces
    assert "| whole method | 12 | 2 |" in pieces  # two distillations, three classes, two segments
    before = contents(out)
    fill(out, videos, content)
    assert contents(out) == before
