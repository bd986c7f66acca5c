from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from idtd_cli import documents
from idtd_cli.errors import InputError
from idtd_cli.method.loop import Step, distil
from idtd_cli.prepared import PreparedDocument
from idtd_cli.report.document import ReportDocument
from idtd_cli.run_folder import RESULT
from idtd_cli.stages import demo_data, evaluate, reproduce
from tests.tiny import Heard, Impatient, contents, recipe


@pytest.fixture(scope="module")
def done(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reproduce") / "out"
    reproduce.run(recipe(), out, videos, "cpu", Heard())
    return out


def test_every_stage_of_every_method_has_its_folder(done: Path) -> None:
    assert sorted(path.name for path in done.iterdir()) == ["prepared", "report", "runs", "sets"]
    for kind in ("runs", "sets"):
        assert sorted(path.name for path in (done / kind).iterdir()) == ["idtd", "pixel"]
    report = documents.read(ReportDocument, done / "report")
    assert [(result.method, result.set) for result in report.results] == [
        ("idtd", "idtd"), ("pixel", "pixel"), ("random", None), ("full", None),
    ]  # fmt: skip
    assert report.parents["prepared"] == documents.read(PreparedDocument, done / "prepared").digest()


def test_a_second_time_there_is_nothing_to_do(done: Path, videos: Path) -> None:
    before = contents(done)
    heard = Heard()
    report = reproduce.run(recipe(), done, videos, "cpu", heard)
    assert len([note for note in heard.notes if note.endswith("nothing to do.")]) == 6
    assert heard.advanced == 0
    assert contents(done) == before
    assert report == documents.read(ReportDocument, done / "report")


def test_it_goes_on_where_it_was_stopped(
    done: Path, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(done, tmp_path / "out"))
    for part in ("report", "sets/pixel", "runs/pixel"):
        shutil.rmtree(out / part)
    with pytest.raises(KeyboardInterrupt):
        reproduce.run(recipe(), out, videos, "cpu", Impatient(2))
    ran: list[int] = []

    def recorded(*given: Any) -> Iterator[Step]:
        ran.append(given[-1])
        return distil(*given)

    # By its name: `distill.match` is the function of that module.
    monkeypatch.setattr(importlib.import_module("idtd_cli.stages.distill.match"), "distil", recorded)
    reproduce.run(recipe(), out, videos, "cpu", Heard())
    assert ran == [2]  # the one run that was not finished, from its checkpoint on
    for method in ("idtd", "pixel"):
        assert (out / "runs" / method / RESULT).read_bytes() == (done / "runs" / method / RESULT).read_bytes()
        assert contents(out / "sets" / method) == contents(done / "sets" / method)


def test_only_the_methods_that_the_recipe_names(done: Path, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    reproduce.run(recipe(methods=["pixel"]), out, videos, "cpu", Heard())
    assert [path.name for path in (out / "runs").iterdir()] == ["pixel"]
    assert (out / "runs/pixel" / RESULT).read_bytes() == (done / "runs/pixel" / RESULT).read_bytes()


def test_coresets_share_the_report(done: Path, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    content = recipe(methods=["idtd", "k-center", "herding"], evaluate__full_students=0)
    report = reproduce.run(content, out, videos, "cpu", Heard())
    assert (out / "runs/idtd" / RESULT).read_bytes() == (done / "runs/idtd" / RESULT).read_bytes()
    by_method = {result.method: result for result in report.results}
    assert set(by_method) == {"idtd", "k-center", "herding", "random"}
    for method in ("k-center", "herding"):
        assert (by_method[method].set, by_method[method].segments) == (method, 1)
        assert by_method[method].stored_bytes == by_method["idtd"].stored_bytes
        assert f"{method} coreset" in (out / "report/report.html").read_text(encoding="utf-8")


def test_without_a_source_the_demo_set_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {}

    def draw(out: Path, **given: object) -> None:
        drawn[out] = given
        raise InputError("Enough.")

    monkeypatch.setattr(demo_data, "run", draw)
    with pytest.raises(InputError, match="Enough"):
        reproduce.run(recipe(), tmp_path / "out", None, "cpu", Heard())
    assert list(drawn) == [tmp_path / "out" / "data"]


def test_something_else_in_the_folder_is_refused(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    for out in (tmp_path, tmp_path / "thesis.tex"):
        with pytest.raises(InputError, match="already holds something else"):
            reproduce.run(recipe(), out, videos, "cpu", Heard())
    assert list(contents(tmp_path)) == ["thesis.tex"]


@pytest.mark.parametrize("which", ["distill__network", "evaluate__student"])
def test_a_network_that_cannot_take_the_clips_stops_before_anything_is_made(
    videos: Path, tmp_path: Path, which: str
) -> None:
    network = {"widths": [2] * 4, "strides": [1] * 4, "kernel": [1, 1, 1]}
    with pytest.raises(InputError, match="too small for block 4"):
        reproduce.run(recipe(**{which: network}), tmp_path / "out", videos, "cpu", Heard())
    assert contents(tmp_path) == {}


def test_another_recipe_is_not_mixed_in(done: Path, videos: Path) -> None:
    before = contents(done)
    with pytest.raises(InputError, match=r"made by another recipe \(distill.steps: 6, now 7\)"):
        reproduce.run(recipe(distill__steps=7), done, videos, "cpu", Heard())
    with pytest.raises(InputError, match="holds another evaluation"):
        reproduce.run(recipe(evaluate__students=1), done, videos, "cpu", Heard())
    assert contents(done) == before


def test_the_report_is_that_of_the_stages_run_by_hand(done: Path) -> None:
    sets = [done / "sets" / method for method in ("idtd", "pixel")]
    by_hand = evaluate.run(sets, done / "prepared", done.parent / "by-hand", recipe(), "cpu", Heard())
    report = documents.read(ReportDocument, done / "report")
    assert by_hand.parents == report.parents
    assert [result.top1 for result in by_hand.results] == [result.top1 for result in report.results]
