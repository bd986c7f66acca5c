"""Where students are trained, and beside how many others, changes nothing of what they say."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from idtd_cli import documents, provenance
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.report.document import ReportDocument
from idtd_cli.runlog import read_lines
from idtd_cli.stages import clips
from idtd_cli.stages.evaluate import scores, students
from tests import tiny
from tests.tiny import Heard, contents, recipe


def said(report: Path) -> list[dict[str, Any]]:
    """The lines of scores.jsonl, in order, but for the time that each took."""
    return [line | {"seconds": 0, "sha256": ""} for line in read_lines(report / scores.FILE)]


def need_same(one: Path, other: Path) -> None:
    """Two report folders hold the same to the byte, but for how long students took."""
    assert said(one) == said(other)
    documents_ = [documents.read(ReportDocument, folder) for folder in (one, other)]
    plain = [
        document.model_copy(
            update={"results": tuple(result.model_copy(update={"seconds": 0}) for result in document.results)}
        )
        for document in documents_
    ]
    assert plain[0].model_dump_json() == plain[1].model_dump_json()
    files, others = contents(one), contents(other)
    assert files.keys() == others.keys()
    assert files["clips.png"] == others["clips.png"]


@pytest.fixture(scope="module")
def sets(prepared: Path, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """One of ours, and one of another tool of each kind that travels in its own way."""
    folder = tmp_path_factory.mktemp("others")
    torch.save(torch.randint(0, 256, (6, 4, 3, 16, 16), dtype=torch.uint8), folder / "theirs.pt")
    other = tiny.write_prepared(folder / "prepared", counts={"train": 2, "test": 1})
    return [str(exported), f"import:{folder / 'theirs.pt'}", f"prepared:{other}"]


@pytest.fixture(scope="module")
def here(prepared: Path, sets: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of students that were trained one after the other, in this process."""
    return tiny.evaluate(sets, prepared, tmp_path_factory.mktemp("here") / "report", content())


def content(**changes: Any) -> Any:
    return recipe(evaluate__lossy=True, evaluate__across=["cnn-gru"], **changes)


def test_two_processes_say_what_one_says(prepared: Path, sets: list[str], here: Path, tmp_path: Path) -> None:
    heard = Heard()
    there = tiny.evaluate(sets, prepared, tmp_path / "report", content(evaluate__workers=2), progress=heard)
    need_same(here, there)
    config = recipe().evaluate
    assert heard.advanced == len(said(here)) * config.fit.steps
    # Neither is another evaluation to the other.
    tiny.evaluate(sets, prepared, there, content(), progress=heard)
    tiny.evaluate(sets, prepared, here, content(evaluate__workers=2), progress=heard)
    assert heard.notes == [f"{folder} already holds this evaluation: nothing to do." for folder in (there, here)]


@pytest.mark.slow
def test_clips_that_are_streamed_are_read_where_students_are(
    prepared: Path, sets: list[str], here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other prepared set goes to the processes as the way to its clips."""
    monkeypatch.setattr(clips, "SHARE", 0.0)
    need_same(here, tiny.evaluate(sets, prepared, tmp_path / "report", content(evaluate__workers=2)))


@pytest.mark.slow
@pytest.mark.parametrize("by", [KeyboardInterrupt, IdtdError])
def test_what_is_done_is_kept_though_a_slower_student_is_not(
    prepared: Path,
    exported: Path,
    reported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    by: type[BaseException],
) -> None:
    """Ctrl-C while the first student trains, or its failure: those behind it that are done are trained once."""
    out, mark = tmp_path / "report", tmp_path / "mark"
    monkeypatch.setattr(students, "_train", _Slow(mark))
    with pytest.raises(by):
        tiny.evaluate([exported], prepared, out, recipe(evaluate__workers=2), progress=_Ending(mark, by))
    kept = (out / scores.FILE).read_text().splitlines()
    assert said(out)[:3] == said(reported)[1:4]
    monkeypatch.undo()
    need_same(tiny.evaluate([exported], prepared, out, recipe(evaluate__workers=2)), reported)
    assert set(kept) < set((out / scores.FILE).read_text().splitlines())


class _Slow:
    """Trains students; the first of them waits for a file, and then fails."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __call__(self, inputs: students.Inputs, student: students.Student) -> students.Said:
        if student == students.Student(0, 0, 0):
            until = time.monotonic() + 60
            while not self._mark.exists() and time.monotonic() < until:
                time.sleep(0.01)
            raise IdtdError("It learns nothing.", "Teach it.")
        [said] = students._bench(inputs).train([student])
        return said


class _Ending(Heard):
    """Ends an evaluation once three students are done: by Ctrl-C, or by the file that `_Slow` waits for."""

    def __init__(self, mark: Path, by: type[BaseException]) -> None:
        super().__init__()
        self._mark, self._by = mark, by

    def advance(self, n: int = 1, **facts: object) -> None:
        super().advance(n, **facts)
        if self.advanced >= 3 * recipe().evaluate.fit.steps:
            if self._by is KeyboardInterrupt:
                raise KeyboardInterrupt
            self._mark.touch()


@pytest.mark.slow
def test_a_student_whose_process_is_killed_is_trained_again(
    prepared: Path, exported: Path, reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(students, "_train", _Deadly(tmp_path / "killed"))
    need_same(tiny.evaluate([exported], prepared, tmp_path / "report", recipe(evaluate__workers=2)), reported)
    assert (tmp_path / "killed").exists()


class _Deadly:
    """Trains students, and is killed once in the middle of one."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __call__(self, inputs: students.Inputs, student: students.Student) -> students.Said:
        if student == students.Student(0, 1, 0) and not self._mark.exists():
            self._mark.write_text("")
            students._bench(inputs).train(
                [student], lambda step, _: os.kill(os.getpid(), signal.SIGKILL) if step else None
            )
        [said] = students._bench(inputs).train([student])
        return said


@pytest.mark.slow
def test_what_stops_a_student_is_said_in_words(prepared: Path, exported: Path, tmp_path: Path) -> None:
    """A set that is spoilt while others train, as any process would find it."""
    spoilt = Path(shutil.copytree(exported, tmp_path / "set"))
    heard = _Spoiling(spoilt)
    with pytest.raises(InputError, match="does not match its checksum"):
        tiny.evaluate([spoilt], prepared, tmp_path / "report", recipe(evaluate__workers=2), progress=heard)


class _Spoiling(Heard):
    """Spoils a set once all was looked at: when the bar begins."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def stage(self, name: str, total: int | None, done: int = 0) -> Any:
        [shard] = self._folder.glob("data/*.tar")
        shard.write_bytes(shard.read_bytes()[:-1024] + b"x" * 1024)
        return super().stage(name, total, done)


def test_no_digest_and_nothing_stored_depends_on_where_students_are_trained() -> None:
    plain, ray = recipe(), recipe(evaluate__engine="ray", evaluate__workers=3)
    assert (ray.evaluate.engine, ray.evaluate.workers) == ("ray", 3)
    assert ray.digest() == plain.digest()
    assert ray.to_yaml() == plain.to_yaml()
    assert ray.evaluate.without_machine() == plain.evaluate
    assert json.loads(ray.evaluate.model_dump_json()).keys().isdisjoint({"engine", "workers"})
    # The cells of a grid are filled where the recipe says.
    cell = recipe(evaluate__engine="ray", evaluate__workers=3, grid={"seeds": 1}).cells()[0].recipes[0]
    assert (cell.evaluate.engine, cell.evaluate.workers) == ("ray", 3)


@pytest.mark.parametrize(
    ("workers", "threads", "sentence"),
    [(4, 4, "OMP_NUM_THREADS=2 gives"), (16, 2, "OMP_NUM_THREADS=1 gives"), (4, 2, ""), (16, 1, ""), (1, 8, "")],
)
def test_students_that_hinder_each_other_are_told_of(
    workers: int, threads: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "cores", lambda: 8)
    told = [*students.remarks(recipe(evaluate__workers=workers).evaluate, threads)]
    assert [sentence in each for each in told] == [True] * bool(sentence)


def test_what_several_processes_pass_over_is_said() -> None:
    told = students.remarks(recipe(evaluate__workers=2, evaluate__together=3).evaluate, 1)
    assert [*told] == ["Each student is trained by a process of its own: evaluate.together is passed over."]
