"""What a long run leaves behind beside its result, and that it is the same however often the run was stopped."""

from __future__ import annotations

import io
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.recipe import Recipe
from idtd_cli.run_folder import RunFolder
from idtd_cli.runlog import read_lines
from idtd_cli.stages.distill.validate import Validation
from idtd_cli.students import scoring
from idtd_cli.students.training import fit_together
from tests import tiny
from tests.tiny import Heard, Impatient, contents, distil, recipe

LONG = {"distill__steps": 9, "distill__validate_every": 4, "distill__preview_every": 3}


def scores(run: Path) -> dict[int, float]:
    return {line["step"]: line["validation"] for line in read_lines(run / "metrics.jsonl") if "validation" in line}


def kept(run: Path) -> dict[str, str]:
    """All that has to be the same, however often a run was stopped."""
    passing = ("checkpoints/step-",)
    return {name: digest for name, digest in contents(run).items() if not name.startswith(passing)}


@pytest.fixture(scope="module")
def validated(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distil(prepared, tmp_path_factory.mktemp("match") / "run", recipe(**LONG))


def scripted(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Scores as they come, in place of students."""
    script = iter(values)
    monkeypatch.setattr(Validation, "score", lambda *_: next(script))


def test_the_videos_are_scored_from_before_the_first_step_to_after_the_last(validated: Path) -> None:
    found = scores(validated)
    assert list(found) == [0, 4, 8, 9]
    assert all(0 <= value <= 1 for value in found.values())
    lines = list(read_lines(validated / "metrics.jsonl"))
    assert [line["step"] for line in lines] == list(range(10))
    assert [set(line) - {"step"} for line in lines[-2:]] == [{"matching", "diversity", "validation"}, {"validation"}]


def test_validation_opens_no_test_clips_and_changes_no_video(
    prepared: Path, validated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = tiny.splits_opened(monkeypatch)
    again = distil(prepared, tmp_path / "again", recipe(**LONG))
    assert opened == ["train", "val"]
    assert contents(again) == contents(validated)
    without = distil(prepared, tmp_path / "without", recipe(distill__steps=9))
    assert torch.equal(RunFolder.open(without).result()[0], RunFolder.open(again).result()[0])


def test_the_score_is_that_of_students_of_the_protocol(prepared: Path, validated: Path, tmp_path: Path) -> None:
    more = recipe(**LONG, evaluate__fit={"steps": 12, "batch": 4, "step_size": 0.05})
    assert scores(distil(prepared, tmp_path / "more", more)) != scores(validated)
    others = recipe(**LONG, evaluate__students=9, evaluate__full_students=0)
    assert scores(distil(prepared, tmp_path / "others", others)) == scores(validated)


def test_students_of_a_score_may_train_at_once(
    prepared: Path, validated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run goes on, whichever way it began: the digest of its protocol is the same."""
    trained: list[list[int]] = []

    def counted(*given: Any) -> None:
        *_, lot, _watch = given
        trained.append(list(lot))
        fit_together(*given)

    monkeypatch.setattr(scoring, "fit_together", counted)
    at_once = distil(prepared, tmp_path / "run", recipe(**LONG, evaluate__together=2))
    assert {len(lot) for lot in trained} == {2}
    assert scores(at_once) == scores(validated)
    assert RunFolder.open(at_once).document.parents == RunFolder.open(validated).document.parents


@pytest.mark.parametrize(("values", "step"), [([0.1, 0.5, 0.5, 0.2], 4), ([0.4, 0.3, 0.2, 0.1], 0), ([0, 0, 0, 1], 9)])
@pytest.mark.parametrize("selection", ["last", "best-on-validation"])
def test_the_best_on_validation_is_the_result_if_asked_for(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, selection: str, values: list[float], step: int
) -> None:
    scripted(monkeypatch, values)
    heard = Heard()
    run = distil(prepared, tmp_path / "run", recipe(**LONG, distill__selection=selection), progress=heard)
    best = RunFolder.open(run).best_checkpoint()
    assert best is not None
    assert best[:2] == (step, max(values))
    expected = step if selection == "best-on-validation" else 9
    if expected:
        shorter = distil(prepared, tmp_path / "shorter", recipe(distill__steps=expected))
        assert torch.equal(RunFolder.open(shorter).result()[0], RunFolder.open(run).result()[0])
    said = f"The result is the videos after {step} of 9 steps: {max(values):.1%} on validation."
    assert heard.notes == ([said] if selection == "best-on-validation" else [])


@pytest.mark.parametrize("after", [1, 4, 8, 9])
def test_a_run_that_was_stopped_keeps_the_same(prepared: Path, validated: Path, tmp_path: Path, after: int) -> None:
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        distil(prepared, stopped, recipe(**LONG), progress=Impatient(after))
    distil(prepared, stopped, recipe(**LONG), resume=True)
    assert kept(stopped) == kept(validated)


@pytest.mark.parametrize("call", [0, 1, 3])
def test_ctrl_c_does_not_wait_for_the_end_of_a_validation(
    prepared: Path, validated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    score = Validation.score
    calls = iter(range(9))
    updates = 0

    def interrupted(self: Validation, *given: Any) -> float:
        *videos, watch = given

        def watched(number: int, loss: Tensor) -> None:
            nonlocal updates
            updates += 1
            watch(number, loss)

        if next(calls) == call:
            signal.raise_signal(signal.SIGINT)
            return score(self, *videos, watched)
        return score(self, *videos, watch)

    monkeypatch.setattr(Validation, "score", interrupted)
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        distil(prepared, stopped, recipe(**LONG))
    assert updates == 1
    monkeypatch.undo()
    signal.signal(signal.SIGINT, before)
    checkpoint = RunFolder.open(stopped).latest_checkpoint()
    assert checkpoint is not None
    assert checkpoint[0] == [0, 4, 8, 9][call]
    distil(prepared, stopped, recipe(**LONG), resume=True)
    assert kept(stopped) == kept(validated)


def test_without_validation_clips_no_run_begins(tmp_path: Path) -> None:
    source = tiny.write_prepared(tmp_path / "source", counts={"train": 5, "val": 0, "test": 1})
    with pytest.raises(InputError, match=r"validate_every needs validation clips, and .*source has none\. Prepare it"):
        distil(source, tmp_path / "run", recipe(**LONG))
    assert not (tmp_path / "run").exists()
    distil(source, tmp_path / "coreset", recipe(**LONG, distill__method="herding"))  # is not made step by step


def test_another_way_to_validate_is_another_run(prepared: Path, validated: Path) -> None:
    with pytest.raises(InputError, match=r"by another recipe \(evaluate\.fit\.steps: 4, now 5\)"):
        distil(prepared, validated, recipe(**LONG, evaluate__fit={"steps": 5, "batch": 4}), resume=True)


def test_previews_are_contact_sheets_of_the_videos_of_their_time(validated: Path) -> None:
    folder = validated / "previews"
    assert sorted(path.name for path in folder.iterdir()) == [f"step-{step:06d}.png" for step in (0, 3, 6, 9)]
    pictures = [Image.open(io.BytesIO((folder / f"step-{step:06d}.png").read_bytes())) for step in (0, 9)]
    assert pictures[0].size == pictures[1].size
    assert pictures[0].tobytes() != pictures[1].tobytes()


def test_half_of_the_networks_precision_is_said(prepared: Path, tmp_path: Path) -> None:
    heard = Heard()
    run = distil(prepared, tmp_path / "run", recipe(distill__precision="bfloat16"), progress=heard)
    assert heard.notes == ["Networks run in bfloat16; videos and losses stay in float32."]
    assert RunFolder.open(run).document.recipe.distill.precision == "bfloat16"


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"distill__method": "pixel", "distill__pixel": {"step_size": 1e30}}, "Lower distill.pixel.step_size."),
        (
            {"distill__idtd": {"segments": 2, "pool": {"step_size": 1e30}}, "distill__precision": "bfloat16"},
            "Lower distill.idtd.pool.step_size, distill.idtd.selectors.step_size or distill.idtd.fusor.step_size, or "
            "set distill.precision to float32.",
        ),
    ],
)
def test_a_run_that_goes_astray_names_the_keys_to_lower(
    prepared: Path, tmp_path: Path, changes: dict[str, Any], hint: str
) -> None:
    with pytest.raises(IdtdError, match=r"The matching loss became (nan|inf) at step \d") as raised:
        distil(prepared, tmp_path / "run", recipe(**changes, distill__steps=12))
    assert raised.value.hint == hint


def board(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a run."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.parametrize("content", [recipe(**LONG), recipe(distill__method="herding")], ids=["idtd", "herding"])
def test_tensorboard_shows_what_the_files_say(prepared: Path, tmp_path: Path, content: Recipe) -> None:
    pytest.importorskip("tensorboard")
    run = distil(prepared, tmp_path / "run", content, tensorboard=True)
    shown = board(run)
    for name in ("metrics", "speed") if content.distill.method == "idtd" else ("metrics",):
        told: dict[str, list[tuple[int, float]]] = {}
        for line in read_lines(run / f"{name}.jsonl"):
            for key in line.keys() - {"step"}:
                told.setdefault(f"{name}/{key}", []).append((line["step"], pytest.approx(line[key])))
        assert told
        assert {tag: values for tag, values in shown.items() if tag.startswith(f"{name}/")} == told


def test_tensorboard_drops_the_steps_that_are_taken_again(prepared: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        distil(prepared, run, recipe(**LONG), progress=Impatient(6), tensorboard=True)
    newest = max((run / "checkpoints").glob("step-*"))
    newest.unlink()
    distil(prepared, run, recipe(**LONG), resume=True, tensorboard=True)
    assert [step for step, _ in board(run)["metrics/matching"]] == list(range(9))


def test_tensorboard_has_to_be_there(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        InputError, match=r"--tensorboard needs a package .* Run `pip install 'idtd-cli\[tensorboard\]'`"
    ):
        distil(prepared, tmp_path / "run", tensorboard=True)
    assert not (tmp_path / "run").exists()


def test_classes_of_one_clip_each_are_matched(tmp_path: Path) -> None:
    """Their clips differ from no other of their class: there is no such difference to measure the loss by."""
    prepared = tiny.write_prepared(tmp_path / "prepared", counts={"train": 1, "test": 1})
    run = tiny.distil(prepared, tmp_path / "run")
    losses = [line["matching"] for line in read_lines(run / "metrics.jsonl")]
    assert len(losses) == tiny.STEPS
    assert all(loss < 10 for loss in losses)
