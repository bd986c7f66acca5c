from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from idtd_cli.distilled import DistilledSet
from idtd_cli.errors import InputError
from idtd_cli.recipe import Recipe
from idtd_cli.report.plan import Plan
from idtd_cli.runlog import Quiet
from idtd_cli.stages import plan
from tests import tiny
from tests.tiny import Heard, contents, distil, recipe


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def planned(prepared: Path, content: Recipe) -> Plan:
    return plan.run(content, prepared, "cpu", Quiet())


def on_disk(run: Path) -> int:
    return sum(path.stat().st_size for path in run.rglob("*") if path.is_file() and path.name != "speed.jsonl")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"distill__steps": 60, "distill__checkpoint_every": 20},
        {"distill__steps": 60, "distill__validate_every": 30, "distill__preview_every": 10},
        {"distill__method": "static-dynamic", "distill__steps": 25, "distill__checkpoint_every": 30},
        {"distill__method": "herding", "distill__coreset": {"fit": {"steps": 40, "batch": 4}}},
        {"distill__method": "random"},
        {"distill__method": "random", "distill__frames": 8},
        {"distill__steps": 25, "distill__frames": 8},
    ],
)
def test_a_plan_foresees_the_folder_and_the_set(prepared: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    content = recipe(**changes)
    found = planned(prepared, content)
    run = distil(prepared, tmp_path / "run", content)
    assert found.run_bytes == pytest.approx(on_disk(run), rel=0.1)
    assert found.stored_bytes == DistilledSet.open(tiny.export(run, tmp_path / "set")).document.stored_bytes


def test_a_plan_is_reckoned_from_the_steps_it_took(prepared: Path) -> None:
    short, long = (planned(prepared, recipe(distill__steps=steps)) for steps in (20, 20_000))
    assert (short.steps, long.steps) == (20, 20_000)
    assert long.distil_seconds == pytest.approx(long.start_seconds + 20_000 * long.step_seconds)
    assert long.distil_seconds > 100 * short.distil_seconds
    assert 0 < short.step_seconds < short.distil_seconds / 20 + 1e-9


def test_students_count_as_often_as_they_are_trained(prepared: Path) -> None:
    fit = {"steps": 100_000, "batch": 4}
    few = planned(prepared, recipe(evaluate__fit=fit, evaluate__students=1, evaluate__full_students=0))
    many = planned(prepared, recipe(evaluate__fit=fit, evaluate__students=50, evaluate__full_students=50))
    assert (few.students, many.students) == ((1, 1, 0), (50, 50, 50))
    assert many.evaluation_seconds > 10 * few.evaluation_seconds
    assert few.validation_seconds == 0


def test_validation_counts_if_there_is_one(prepared: Path) -> None:
    fit = {"steps": 100_000, "batch": 4}
    validated = recipe(evaluate__fit=fit, evaluate__students=1, distill__steps=100, distill__validate_every=10)
    found = planned(prepared, validated)
    # At eleven times two students on the set; the evaluation has one there, one on random clips and one on all.
    assert found.validation_seconds > 3 * found.evaluation_seconds
    assert planned(prepared, recipe(distill__method="herding", distill__validate_every=1)).validation_seconds == 0


def test_a_plan_leaves_nothing_behind(prepared: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, here = contents(prepared), sorted(Path().iterdir())
    opened = tiny.splits_opened(monkeypatch)
    planned(prepared, recipe(distill__preview_every=2, distill__validate_every=2))
    assert set(opened) == {"train"}
    assert contents(prepared) == before
    assert list(temporary.iterdir()) == []
    assert sorted(Path().iterdir()) == here


def test_what_cannot_run_is_not_planned(prepared: Path, temporary: Path) -> None:
    with pytest.raises(InputError, match=r"distill\.ipc asks for 6"):
        planned(prepared, recipe(distill__ipc=6))
    with pytest.raises(InputError, match="Trajectory matching needs experts"):
        planned(prepared, recipe(distill__matching="mtt"))
    assert list(temporary.iterdir()) == []


def test_the_first_steps_are_shown(prepared: Path) -> None:
    heard = Heard()
    plan.run(recipe(distill__steps=300), prepared, "cpu", heard)
    assert heard.advanced == 20 + 3
    assert heard.notes == []


def test_the_command(prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from idtd_cli.cli.commands.plan import plan as command

    path = str(tiny.write_recipe(tmp_path / "tiny.yaml"))
    show: Callable[..., None] = command
    show(path, prepared)
    assert capsys.readouterr().out.startswith("Expected on ")
    show(path, prepared, set_=["distill.steps=7"], json=True)
    figures = json.loads(capsys.readouterr().out)
    assert (figures["method"], figures["steps"]) == ("idtd", 7)
    assert figures["memory_bytes"] > 50_000_000


def test_looking_at_shards_is_no_step(prepared: Path) -> None:
    heard = Heard()
    plan.run(recipe(distill__method="random"), prepared, "cpu", heard)
    assert heard.advanced == 3
