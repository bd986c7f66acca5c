from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.experts_folder import ExpertsFolder
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import Recipe
from idtd_cli.run_folder import RESULT, RunFolder
from idtd_cli.runlog import read_lines
from idtd_cli.stages import show
from idtd_cli.stages.distill.job import Job
from idtd_cli.students import registry
from tests import tiny
from tests.tiny import Heard, Impatient, contents, distil, recipe

MTT = {"distill__matching": "mtt"}
THROUGH = {"distill__network_snapshots": 1}
TASK = registry.Task(3, 4, 16, 16)


def snapshots(folder: Path, number: int) -> dict[str, torch.Tensor]:
    network = registry.build(recipe().distill.network, TASK, 0, "cpu")
    return ExpertsFolder.open(folder).snapshots(number, network.state_dict())


def result(run: Path) -> bytes:
    return (run / RESULT).read_bytes()


def test_experts_are_kept_at_several_stages(prepared: Path, experts: Path) -> None:
    document = ExpertsFolder.open(experts).document
    assert document.finished
    assert document.classes == tiny.CLASSES
    assert document.parents["prepared"] == PreparedSet.open(prepared).document.digest()
    assert sorted(contents(experts)) == ["expert-0000.safetensors", "expert-0001.safetensors", "experts.json"]
    assert str(experts.parent) not in (experts / "experts.json").read_text()
    one, two = (snapshots(experts, number) for number in range(2))
    assert not torch.equal(one["blocks.0.weight"][0], two["blocks.0.weight"][0])
    for name in one:
        assert len(one[name]) == 4  # of 6 updates, every 2
        assert all(not torch.equal(a, b) for a, b in zip(one[name], one[name][1:], strict=False))


def test_their_step_size_stays(prepared: Path, tmp_path: Path) -> None:
    """One that falls after half of the updates gives the same first half, and a shorter way in the second."""
    plain = {"momentum": 0.0, "weight_decay": 0.0, "steps": 8, "batch": 15}
    made = {
        decay: snapshots(
            tiny.experts(
                prepared,
                tmp_path / str(decay),
                recipe(experts={"count": 1, "every": 2, "fit": plain | ({"decay": True} if decay else {})}),
            ),
            0,
        )
        for decay in (False, True)
    }  # fmt: skip
    name = "blocks.0.weight"
    ways = {decay: (of[name][1:] - of[name][:-1]).flatten(1).norm(dim=1) for decay, of in made.items()}
    assert torch.equal(ways[False][:2], ways[True][:2])
    assert (ways[False][2:] > 5 * ways[True][2:]).all()


def test_no_expert_is_a_student_of_the_evaluation(experts: Path) -> None:
    for number in range(2):
        start = snapshots(experts, number)["blocks.0.weight"][0]
        for seed in range(50):
            student = registry.build(recipe().distill.network, TASK, seed, "cpu").state_dict()
            assert not torch.equal(start, student["blocks.0.weight"])


def test_the_same_bytes_come_out(prepared: Path, experts: Path, tmp_path: Path) -> None:
    assert contents(tiny.experts(prepared, tmp_path / "again")) == contents(experts)


@pytest.mark.parametrize("after", [2, 4, 6, 8, 12])
def test_experts_that_were_stopped_go_on_to_the_same_bytes(
    prepared: Path, experts: Path, tmp_path: Path, after: int
) -> None:
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        tiny.experts(prepared, stopped, progress=Impatient(after))
    whole = (after - 1) // tiny.STEPS  # the last update is reported before the expert is written
    kept = {name: (stopped / name).stat().st_ino for name in contents(stopped) if name.startswith("expert-")}
    assert len(kept) == whole
    with pytest.raises(InputError, match=r"stopped is not finished\. Go on with `idtd experts .*prepared .*stopped`"):
        distil(prepared, tmp_path / "run", recipe(**MTT), experts=stopped)
    tiny.experts(prepared, stopped)
    assert contents(stopped) == contents(experts)
    assert all((stopped / name).stat().st_ino == inode for name, inode in kept.items())


def test_finished_experts_are_left_as_they_are(prepared: Path, experts: Path) -> None:
    before = contents(experts)
    heard = Heard()
    # How they will be used, and what is trained on their videos, does not matter.
    tiny.experts(prepared, experts, recipe(**MTT, distill__ipc=2, evaluate__fit__steps=9), progress=heard)
    assert heard.notes == [f"{experts} already holds these experts: nothing to do."]
    assert contents(experts) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"experts__count": 3}, r"\(experts\)"),
        ({"experts__fit__momentum": 0.5}, r"\(experts\)"),
        ({"distill__network__widths": [4, 4], "distill__augmentation": {"speed": 2}},
         r"\(distill.network, distill.augmentation\)"),
    ],
)  # fmt: skip
def test_other_settings_in_the_same_folder_are_refused(
    prepared: Path, experts: Path, changes: dict[str, Any], words: str
) -> None:
    before = contents(experts)
    with pytest.raises(InputError, match=f"holds experts of other settings {words}"):
        tiny.experts(prepared, experts, recipe(**changes))
    assert contents(experts) == before


def test_another_prepared_set_and_another_folder_are_refused(prepared: Path, experts: Path, tmp_path: Path) -> None:
    other = tiny.write_prepared(tmp_path / "other", counts={"train": 4, "val": 1, "test": 1})
    with pytest.raises(InputError, match="holds experts of another prepared set"):
        tiny.experts(other, experts)
    with pytest.raises(InputError, match=r"is no finished experts: it has no experts.json"):
        tiny.experts(prepared, prepared)


def test_networks_that_cannot_take_the_clips_are_refused(prepared: Path, tmp_path: Path) -> None:
    too_deep = {"widths": [2] * 4, "strides": [1] * 4, "kernel": [1, 1, 1]}
    for key in ("distill__network", "evaluate__student"):
        with pytest.raises(InputError, match="too small for block 4 of convnet3d"):
            tiny.experts(prepared, tmp_path / "out", recipe(**{key: too_deep}))
    assert contents(tmp_path) == {}


def test_an_expert_that_goes_astray_is_not_kept(prepared: Path, tmp_path: Path) -> None:
    content = recipe(experts__fit={"steps": 6, "batch": 4, "step_size": 1e38})
    with pytest.raises(IdtdError, match="Expert 1 became not finite") as raised:
        tiny.experts(prepared, tmp_path / "out", content)
    assert raised.value.hint == "Lower experts.fit.step_size."
    assert list(contents(tmp_path / "out")) == ["experts.json"]


def test_updates_that_do_not_end_with_a_snapshot_are_refused() -> None:
    with pytest.raises(ValueError, match=r"fit.steps \(6\) is no multiple of every \(4\)"):
        recipe(experts__every=4)


GOOD = {"steps": 60, "batch": 15, "step_size": 0.05}
MORE = {"train": 5, "val": 10, "test": 1}


def test_undertrained_experts_are_called_so(tmp_path: Path) -> None:
    """By the validation clips, against a student that is trained as the recipe evaluates."""
    prepared = tiny.write_prepared(tmp_path / "prepared", counts=MORE)
    heard = Heard()
    student = {"evaluate__fit": GOOD, "evaluate__student__dropout": 0.0}
    out = tiny.experts(prepared, tmp_path / "poor", recipe(**student), progress=heard)
    check = ExpertsFolder.open(out).document.check
    assert check is not None
    assert check.clips == 30
    assert check.student > 0.8 > check.experts + 0.1
    [note] = heard.notes
    assert note.startswith("The experts are undertrained: ")
    assert f"{check.experts:.1%}" in note
    assert f"{check.student:.1%}" in note
    assert "experts.fit.steps" in note

    heard = Heard()
    good = recipe(**student, experts={"count": 2, "every": 20, "fit": GOOD})
    out = tiny.experts(prepared, tmp_path / "good", good, progress=heard)
    check = ExpertsFolder.open(out).document.check
    assert check is not None
    assert check.experts > 0.8
    assert heard.notes == []


def test_without_validation_clips_the_check_is_left_out(tmp_path: Path) -> None:
    prepared = tiny.write_prepared(tmp_path / "prepared", counts={"train": 4, "val": 0, "test": 2})
    heard = Heard()
    out = tiny.experts(prepared, tmp_path / "experts", progress=heard)
    assert ExpertsFolder.open(out).document.check is None
    assert heard.notes == [f"{prepared} has no validation clips: how well the experts do was not looked at."]


def test_the_test_split_is_never_opened(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = tiny.splits_opened(monkeypatch)
    tiny.experts(prepared, tmp_path / "experts")
    assert opened == ["train", "val"]


def test_show_says_what_they_are(prepared: Path, experts: Path, tmp_path: Path) -> None:
    text = show.run(experts)
    assert f"{experts}: experts, written by" in text
    assert "2 of 2, 6 updates, a snapshot every 2" in text
    assert "of 6 clips" in text
    assert f"--experts {experts}" in text
    with pytest.raises(KeyboardInterrupt):
        tiny.experts(prepared, tmp_path / "stopped", progress=Impatient(8))
    text = show.run(tmp_path / "stopped")
    assert "1 of 2" in text
    assert f"idtd experts PREPARED {tmp_path / 'stopped'}" in text


@pytest.mark.parametrize("method", ["idtd", "pixel"])
def test_trajectory_matching_goes_on_to_the_same_bytes(
    prepared: Path, experts: Path, tmp_path: Path, method: str
) -> None:
    content = recipe(**MTT, distill__method=method, distill__steps=8)
    undisturbed = distil(prepared, tmp_path / "undisturbed", content, experts=experts)
    document = RunFolder.open(undisturbed).document
    assert document.parents["experts"] == ExpertsFolder.open(experts).document.digest()
    losses = [line["matching"] for line in read_lines(undisturbed / "metrics.jsonl")]
    assert len(set(losses)) == 8

    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        distil(prepared, stopped, content, experts=experts, progress=Impatient(4))
    checkpoint = RunFolder.open(stopped).latest_checkpoint()
    assert checkpoint is not None
    assert 4 <= checkpoint[0] < 8
    assert checkpoint[1]["parameter.matching.log_step_size"] != torch.tensor(content.distill.mtt.inner_step_size).log()
    distil(prepared, stopped, content, experts=experts, resume=True)
    for name in (RESULT, "run.json", "metrics.jsonl"):
        assert (stopped / name).read_bytes() == (undisturbed / name).read_bytes()


def test_a_run_with_other_experts_or_with_none_is_not_gone_on_with(
    prepared: Path, experts: Path, tmp_path: Path
) -> None:
    run = distil(prepared, tmp_path / "run", recipe(**THROUGH), experts=experts)
    other = tiny.experts(prepared, tmp_path / "other", recipe(experts__count=1))
    with pytest.raises(InputError, match="was made with other experts, or with none"):
        distil(prepared, run, recipe(**THROUGH), experts=other, resume=True)
    with pytest.raises(InputError, match=r"distill\.network_snapshots needs experts"):
        distil(prepared, run, recipe(**THROUGH), resume=True)


def test_trajectory_matching_needs_experts(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Trajectory matching needs experts") as raised:
        distil(prepared, tmp_path / "run", recipe(**MTT))
    assert raised.value.hint == f"Make some with `idtd experts {prepared} EXPERTS`, and add --experts EXPERTS."
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (THROUGH | {"distill__network__widths": [4, 4]}, "holds experts of another network"),
        ({}, "The recipe makes no use of experts"),
        (MTT | {"distill__method": "herding"}, "The recipe makes no use of experts"),
        ({"distill__soft_labels__teachers": 3}, "holds 2 experts; distill.soft_labels.teachers asks for 3"),
        ({"distill__network_snapshots": 5}, r"holds 4 snapshots of each expert; distill.network_snapshots asks for 5"),
        (MTT | {"distill__mtt__latest_start": 3}, r"4 snapshots of each expert.* distill.mtt asks for number 4"),
        (MTT | {"distill__mtt__expert_snapshots": 2}, r"4 snapshots of each expert.* distill.mtt asks for number 4"),
    ],
)
def test_experts_that_do_not_fit_are_refused(
    prepared: Path, experts: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        distil(prepared, tmp_path / "run", recipe(**changes), experts=experts)
    assert contents(tmp_path) == {}


def test_experts_of_another_prepared_set_are_refused(experts: Path, tmp_path: Path) -> None:
    other = tiny.write_prepared(tmp_path / "other", counts={"train": 4, "val": 1, "test": 1})
    with pytest.raises(InputError, match="holds experts of another prepared set"):
        distil(other, tmp_path / "run", recipe(**THROUGH), experts=experts)
    assert not (tmp_path / "run").exists()


def test_something_that_is_no_expert_is_refused(prepared: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"it has no experts.json\.|is not a folder"):
        distil(prepared, tmp_path / "run", recipe(**THROUGH), experts=finished)


def test_damaged_experts_are_refused(prepared: Path, experts: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(experts, tmp_path / "copy")
    (copy / "expert-0001.safetensors").write_bytes(b"")
    with pytest.raises(IdtdError, match="is missing or was changed since it was written"):
        distil(prepared, tmp_path / "run", recipe(**THROUGH), experts=copy)


def drawn(content: Recipe, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Path]) -> list[torch.Tensor]:
    """A weight of each network that a run drew."""
    found: list[torch.Tensor] = []
    draw = Job.draw_network

    def recorded(self: Job, seed: int) -> Any:
        network = draw(self, seed)
        found.append(network.state_dict()["blocks.0.weight"].clone())
        return network

    with monkeypatch.context() as patch:
        patch.setattr(Job, "draw_network", recorded)
        make()
    return found


@pytest.mark.parametrize(("first", "stages"), [(4, {0, 1, 2, 3}), (1, {0}), (2, {0, 1})])
def test_other_losses_may_look_through_trained_networks(
    prepared: Path, experts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, stages: set[int]
) -> None:
    content = recipe(distill__steps=40, distill__network_snapshots=first)
    found = drawn(content, monkeypatch, lambda: distil(prepared, tmp_path / "run", content, experts=experts))
    known = [snapshots(experts, number)["blocks.0.weight"] for number in range(2)]
    which = {
        (number, stage)
        for weight in found
        for number in range(2)
        for stage in range(4)
        if torch.equal(weight, known[number][stage])
    }
    assert len(found) == 40
    assert which == {(number, stage) for number in range(2) for stage in stages}


def test_networks_are_fresh_unless_the_recipe_says_otherwise(
    prepared: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = drawn(recipe(), monkeypatch, lambda: distil(prepared, tmp_path / "run"))
    assert len({weight.numpy().tobytes() for weight in found}) == tiny.STEPS
    assert "experts" not in json.loads((tmp_path / "run" / "run.json").read_text())["parents"]
    assert result(tmp_path / "run") == result(finished)
