from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from idtd_cli import recipe as recipes
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.method.real_clips import RealClips
from idtd_cli.prepared import PreparedSet
from idtd_cli.run_folder import RESULT, RunFolder
from idtd_cli.runlog import read_lines
from tests import tiny
from tests.tiny import Heard, Impatient, contents, distil, recipe

ROOT = Path(__file__).parents[2]


def result(folder: Path) -> bytes:
    return (folder / RESULT).read_bytes()


def steps(folder: Path) -> list[int]:
    return [line["step"] for line in read_lines(folder / "metrics.jsonl")]


def test_a_run_gives_videos_and_says_how(prepared: Path, finished: Path) -> None:
    run = RunFolder.open(finished)
    videos, labels, _ = run.result()
    assert videos.shape == (3, 4, 3, 16, 16)
    assert videos.dtype == torch.uint8
    assert len(videos.unique()) > 50
    assert labels.tolist() == [0, 1, 2]
    assert run.document.classes == tiny.CLASSES
    assert (run.document.method, run.document.segments, run.document.device) == ("idtd", 2, "cpu")
    assert run.document.parents["prepared"] == PreparedSet.open(prepared).document.digest()
    assert recipes.load(finished / "recipe.yaml").digest() == recipe().digest()
    assert steps(finished) == list(range(tiny.STEPS))


def test_videos_are_those_that_training_left(prepared: Path, tmp_path: Path) -> None:
    """More steps, other videos; and each class looks more like its own clips than noise would."""
    one = load_file(distil(prepared, tmp_path / "one", recipe(distill__steps=1)) / RESULT)["videos_NT3HW"]
    many = load_file(distil(prepared, tmp_path / "many", recipe(distill__steps=30)) / RESULT)["videos_NT3HW"]
    assert (one.float() - many.float()).abs().mean() > 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"distill__method": "pixel"},
        {"distill__ipc": 2},
        {"distill__idtd__pool__scope": "dataset"},
        {"distill__idtd__segments": 1},
        {"distill__idtd__segments": 4},
        {"distill__network_steps": 4},
        {"distill__matching": "dc"},
        {"distill__matching": "dc", "distill__method": "pixel"},
        {"distill__matching": "frepo"},
        {"distill__matching": "frepo", "distill__method": "pixel"},
        {"distill__augmentation": {"span": 0.5, "window": 0.5, "speed": 2.0}},
    ],
)
def test_every_setting_runs_and_the_seed_decides_every_byte(
    prepared: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    content = recipe(**changes)
    one, two = (distil(prepared, tmp_path / name, content) for name in ("one", "two"))
    videos, labels, _ = RunFolder.open(one).result()
    assert videos.shape == (3 * content.distill.ipc, 4, 3, 16, 16)
    assert labels.tolist() == [label for label in range(3) for _ in range(content.distill.ipc)]
    assert contents(one) == contents(two)
    other = distil(prepared, tmp_path / "other", recipe(**changes, distill__seed=1))
    assert result(other) != result(one)


def test_a_finished_run_is_left_as_it_is(prepared: Path, finished: Path) -> None:
    before = contents(finished)
    for resume in (False, True):
        heard = Heard()
        distil(prepared, finished, progress=heard, resume=resume)
        assert heard.notes == [f"{finished} already holds this run, finished: nothing to do."]
        assert heard.advanced == 0
    # What the run was made with is what counts, not how its result will be evaluated.
    distil(prepared, finished, recipe(evaluate__students=7))
    assert contents(finished) == before


def test_another_recipe_in_the_same_folder_is_refused(prepared: Path, finished: Path) -> None:
    before = contents(finished)
    with pytest.raises(InputError) as raised:
        distil(prepared, finished, recipe(distill__ipc=2, distill__idtd__diversity=0.5), resume=True)
    assert raised.value.message == (
        f"{finished} was made by another recipe (distill.idtd.diversity: 1.0, now 0.5; distill.ipc: 1, now 2)."
    )
    assert contents(finished) == before


def test_another_prepared_set_in_the_same_folder_is_refused(finished: Path, tmp_path: Path) -> None:
    other = tiny.write_prepared(tmp_path / "other", counts={"train": 4, "val": 1, "test": 1})
    with pytest.raises(InputError, match="was made from another prepared set"):
        distil(other, finished, resume=True)


def test_something_else_in_the_folder_is_refused(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"is no finished run: it has no run.json"):
        distil(prepared, tmp_path)
    assert list(contents(tmp_path)) == ["thesis.tex"]


@pytest.mark.parametrize(("method", "matching"), [("idtd", "dm"), ("pixel", "dm"), ("idtd", "dc"), ("pixel", "frepo")])
@pytest.mark.parametrize("after", [1, 4])
def test_ctrl_c_keeps_the_steps_taken(prepared: Path, tmp_path: Path, method: str, matching: str, after: int) -> None:
    content = recipe(distill__steps=8, distill__method=method, distill__matching=matching)
    undisturbed = distil(prepared, tmp_path / "undisturbed", content)
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        distil(prepared, stopped, content, progress=Impatient(after))
    checkpoint = RunFolder.open(stopped).latest_checkpoint()
    assert checkpoint is not None
    assert after <= checkpoint[0] < 8
    assert steps(stopped) == list(range(checkpoint[0]))

    with pytest.raises(InputError, match=r"holds an unfinished run\. Add --resume to go on with it"):
        distil(prepared, stopped, content)
    heard = Heard()
    distil(prepared, stopped, content, resume=True, progress=heard)
    assert heard.advanced == 8
    assert result(stopped) == result(undisturbed)
    for name in ("run.json", "metrics.jsonl"):
        assert (stopped / name).read_bytes() == (undisturbed / name).read_bytes()


def test_a_newest_checkpoint_that_is_cut_off_costs_only_its_steps(
    prepared: Path, finished: Path, tmp_path: Path
) -> None:
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        distil(prepared, stopped, progress=Impatient(4))
    newest = max((stopped / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-5])
    distil(prepared, stopped, resume=True)
    assert result(stopped) == result(finished)
    assert (stopped / "metrics.jsonl").read_bytes() == (finished / "metrics.jsonl").read_bytes()


def test_resume_begins_where_there_is_nothing(prepared: Path, finished: Path, tmp_path: Path) -> None:
    assert result(distil(prepared, tmp_path / "new", resume=True)) == result(finished)


def _killed(prepared: Path, out: Path, settings: list[str], how: signal.Signals, checkpoints: int) -> int:
    """End a real `idtd distill` once it has written some checkpoints; returns its exit status."""
    command = [sys.executable, "-m", "idtd_cli", "distill", str(prepared), str(out), "--device", "cpu", *settings]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    seen: set[str] = set()
    deadline = time.monotonic() + 60
    while len(seen) < checkpoints and process.poll() is None and time.monotonic() < deadline:
        seen |= {path.name for path in (out / "checkpoints").glob("step-*")}
        time.sleep(0.001)
    process.send_signal(how)
    return process.wait(60)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_process_that_is_ended_goes_on_to_the_same_bytes(prepared: Path, tmp_path: Path, how: signal.Signals) -> None:
    settings = ["--set", "distill.steps=300", "--set", "distill.checkpoint_every=7"]
    content = recipe(distill__steps=300, distill__checkpoint_every=7)
    undisturbed = distil(prepared, tmp_path / "undisturbed", content)
    ended = tmp_path / "ended"
    status = _killed(prepared, ended, settings, how, checkpoints=1)
    assert status == (130 if how == signal.SIGINT else -9)
    assert not RunFolder.open(ended).finished
    if how == signal.SIGINT:
        status = _killed(prepared, ended, [*settings, "--resume"], how, checkpoints=4)
        assert status == 130
    heard = Heard()
    distil(prepared, ended, content, resume=True, progress=heard)
    assert not heard.notes
    assert result(ended) == result(undisturbed)
    assert (ended / "metrics.jsonl").read_bytes() == (undisturbed / "metrics.jsonl").read_bytes()
    assert (ended / "run.json").read_bytes() == (undisturbed / "run.json").read_bytes()


def test_ctrl_c_waits_for_the_end_of_a_step(
    prepared: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of one, some parameters have moved and others have not."""
    step = torch.optim.Adam.step
    taken = 0
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it

    def interrupted(self: torch.optim.Adam) -> None:
        nonlocal taken
        taken += 1
        first, *rest = self.param_groups
        self.param_groups = [first]
        step(self)
        if taken == 3:
            signal.raise_signal(signal.SIGINT)
        self.param_groups = rest
        step(self)
        self.param_groups = [first, *rest]

    monkeypatch.setattr(torch.optim.Adam, "step", interrupted)
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        distil(prepared, stopped)
    assert taken == 3
    monkeypatch.undo()
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler
    distil(prepared, stopped, resume=True)
    assert result(stopped) == result(finished)


def test_more_videos_than_a_class_has_are_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Class left has 5 training clips; distill.ipc asks for 6"):
        distil(prepared, tmp_path / "run", recipe(distill__ipc=6))
    assert contents(tmp_path) == {}


def test_clips_that_the_networks_cannot_take_are_refused(prepared: Path, tmp_path: Path) -> None:
    network = {"widths": [2] * 4, "strides": [1] * 4, "kernel": [1, 1, 1]}
    with pytest.raises(InputError, match="too small for block 4 of convnet3d"):
        distil(prepared, tmp_path / "run", recipe(distill__network=network))
    assert contents(tmp_path) == {}


def test_clips_of_another_recipe_are_refused(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"recipe's clips are not those of .*: prepare.clip differs"):
        distil(prepared, tmp_path / "run", recipe(prepare__clip__frames=8))
    assert contents(tmp_path) == {}


def test_a_loss_that_is_no_number_ends_the_run_and_spoils_no_checkpoint(prepared: Path, tmp_path: Path) -> None:
    content = recipe(distill__method="pixel", distill__pixel={"step_size": 1e30}, distill__steps=9)
    with pytest.raises(IdtdError, match=r"The matching loss became (nan|inf) at step \d") as raised:
        distil(prepared, tmp_path / "run", content)
    assert raised.value.exit_code == 1
    assert "step_size" in raised.value.hint
    run = RunFolder.open(tmp_path / "run")
    assert not run.finished
    losses = list(read_lines(run.metrics))
    assert losses[-1]["matching"] != losses[-1]["matching"] or losses[-1]["matching"] == float("inf")
    if (checkpoint := run.latest_checkpoint()) is not None:
        assert all(torch.isfinite(value).all() for value in checkpoint[1].values())


def test_a_last_step_that_goes_astray_gives_no_videos(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own loss was that of the step before."""

    def astray(self: torch.optim.Adam) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.fill_(torch.inf)

    monkeypatch.setattr(torch.optim.Adam, "step", astray)
    content = recipe(distill__method="pixel", distill__steps=1)
    with pytest.raises(IdtdError, match="The videos became not finite in the last step"):
        distil(prepared, tmp_path / "run", content)
    assert not RunFolder.open(tmp_path / "run").finished


@pytest.mark.parametrize("method", ["idtd", "herding"])
def test_only_training_clips_are_opened(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Nothing before the evaluation may look at the test split, nor choose by the validation split."""
    opened = tiny.splits_opened(monkeypatch)
    tiny.export(distil(prepared, tmp_path / "run", recipe(distill__method=method)), tmp_path / "set")
    assert opened == ["train"]


def test_the_run_does_not_depend_on_the_other_splits(finished: Path, tmp_path: Path) -> None:
    other = tiny.write_prepared(tmp_path / "other", counts={"train": tiny.COUNTS["train"], "val": 0, "test": 9})
    assert result(distil(other, tmp_path / "run")) == result(finished)


def test_run_json_says_nothing_of_the_time_or_the_place(finished: Path) -> None:
    text = (finished / "run.json").read_text()
    assert str(finished.parent) not in text
    assert set(json.loads(text)["parents"]) == {"prepared", "distill"}


coresets = pytest.mark.parametrize("method", ["herding", "k-center"])


def chosen(prepared: Path, run: Path) -> list[int]:
    """Which training clip each video of a run is, byte for byte."""
    videos, labels = PreparedSet.open(prepared).clips("train")
    every = RealClips(videos, labels, len(tiny.CLASSES)).whole(torch.arange(len(labels)), 4)
    made, made_labels, _ = RunFolder.open(run).result()
    which = (made[:, None] == every).flatten(2).all(2).long()
    assert (which.sum(1) == 1).all()
    assert torch.equal(labels[which.argmax(1)], made_labels)
    return which.argmax(1).tolist()


@coresets
def test_a_coreset_is_different_training_clips_of_each_class(prepared: Path, tmp_path: Path, method: str) -> None:
    runs = {
        ipc: distil(prepared, tmp_path / str(ipc), recipe(distill__method=method, distill__ipc=ipc)) for ipc in (2, 5)
    }
    document = RunFolder.open(runs[2]).document
    assert (document.method, document.segments) == (method, 1)
    two, all_five = chosen(prepared, runs[2]), chosen(prepared, runs[5])
    assert sorted(all_five) == list(range(15))
    assert two == [clip for first in (0, 5, 10) for clip in all_five[first : first + 2]]


def test_random_clips_are_drawn_by_seed(prepared: Path, tmp_path: Path) -> None:
    """And no network is trained to choose them."""
    drawn = {
        name: distil(prepared, tmp_path / name, recipe(distill__method="random", distill__ipc=3, distill__seed=seed))
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    }
    assert contents(drawn["one"]) == contents(drawn["same"])
    one, other = chosen(prepared, drawn["one"]), chosen(prepared, drawn["other"])
    assert len(set(one)) == 9
    assert one != other
    assert not (drawn["one"] / "metrics.jsonl").exists()


@coresets
def test_the_seed_decides_every_byte_of_a_coreset(prepared: Path, tmp_path: Path, method: str) -> None:
    """Another seed is another network, which may choose the same clips."""
    content = recipe(distill__method=method, distill__ipc=2)
    one, two = (distil(prepared, tmp_path / name, content) for name in ("one", "two"))
    assert contents(one) == contents(two)
    other = distil(prepared, tmp_path / "other", recipe(distill__method=method, distill__ipc=2, distill__seed=1))
    assert (other / "metrics.jsonl").read_bytes() != (one / "metrics.jsonl").read_bytes()


def test_the_network_of_a_coreset_is_trained(prepared: Path, tmp_path: Path) -> None:
    fit = {"steps": 60, "batch": 15, "step_size": 0.05}
    run = distil(prepared, tmp_path / "run", recipe(distill__method="herding", distill__coreset={"fit": fit}))
    losses = [line["training"] for line in read_lines(run / "metrics.jsonl")]
    assert steps(run) == list(range(60))
    assert losses[-1] < losses[0] / 2


@coresets
def test_a_coreset_that_was_stopped_starts_again(prepared: Path, tmp_path: Path, method: str) -> None:
    content = recipe(distill__method=method, distill__coreset={"fit": {"steps": 14, "batch": 4}})
    undisturbed = distil(prepared, tmp_path / "undisturbed", content)
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        distil(prepared, stopped, content, progress=Impatient(3))
    assert steps(stopped) == list(range(10))  # losses are looked at ten at a time
    with pytest.raises(InputError, match="Add --resume to go on with it"):
        distil(prepared, stopped, content)
    heard = Heard()
    distil(prepared, stopped, content, resume=True, progress=heard)
    assert heard.advanced == 14
    assert contents(stopped) == contents(undisturbed)


@pytest.mark.parametrize(
    ("updates", "words"), [(9, r"The training loss became (nan|inf) at step \d"), (1, "not finite in the last step")]
)
def test_a_network_that_goes_astray_chooses_nothing(prepared: Path, tmp_path: Path, updates: int, words: str) -> None:
    fit = {"steps": updates, "step_size": 1e38, "momentum": 0.0}
    content = recipe(distill__method="k-center", distill__coreset={"fit": fit})
    with pytest.raises(IdtdError, match=words) as raised:
        distil(prepared, tmp_path / "run", content)
    assert raised.value.hint == "Lower distill.coreset.fit.step_size."
    assert not RunFolder.open(tmp_path / "run").finished
