from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from idtd_cli import run_folder
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.run_folder import RunDocument, RunFolder
from tests import tiny
from tests.tiny import contents

VIDEOS = torch.randint(0, 256, (3, 4, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LABELS = torch.arange(3)


def document() -> RunDocument:
    return RunDocument(
        parents={"prepared": "p", "distill": "d"},
        method="idtd",
        recipe=tiny.recipe(name="ünï"),
        classes=tiny.CLASSES,
        clip=tiny.recipe().prepare.clip,
        segments=2,
        mean=(0.1, 0.2, 0.3),
        std=(0.4, 0.5, 0.6),
        device="cpu",
        versions={"python": "3"},
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", document())


def state(step: int) -> dict[str, torch.Tensor]:
    return {"a": torch.full((3, 5), float(step)), "b": torch.tensor(step)}


def checkpoints(folder: RunFolder) -> list[str]:
    return sorted(path.name for path in (folder.path / "checkpoints").iterdir())


def test_a_run_begins_unfinished(folder: RunFolder) -> None:
    found = RunFolder.open(folder.path)
    assert found.document == document()
    assert not found.finished
    assert found.latest_checkpoint() is None
    assert found.metrics.parent == folder.path
    assert (folder.path / "recipe.yaml").read_text(encoding="utf-8") == document().recipe.to_yaml()
    with pytest.raises(InputError, match=r"run is not finished. Go on with `idtd distill PREPARED RUN --resume`"):
        found.result()


def test_a_run_does_not_begin_where_something_is(folder: RunFolder) -> None:
    before = contents(folder.path)
    with pytest.raises(InputError, match="already holds something else"):
        RunFolder.create(folder.path, document())
    assert contents(folder.path) == before


def test_the_newest_checkpoint_comes_back(folder: RunFolder) -> None:
    folder.save_checkpoint(5, state(5))
    folder.save_checkpoint(10, state(10))
    latest = RunFolder.open(folder.path).latest_checkpoint()
    assert latest is not None
    step, found = latest
    assert step == 10
    assert found.keys() == state(10).keys()
    assert all(torch.equal(found[name], value) for name, value in state(10).items())


@pytest.mark.parametrize("steps", [[1, 2, 3], [9, 10, 11, 99, 100], [999_999, 1_000_000, 1_000_001]])
def test_two_checkpoints_are_kept(folder: RunFolder, steps: list[int]) -> None:
    for step in steps:
        folder.save_checkpoint(step, state(step % 100))
    assert len(checkpoints(folder)) == 2
    for kept in steps[:-3:-1]:
        latest = folder.latest_checkpoint()
        assert latest is not None
        assert latest[0] == kept
        (folder.path / "checkpoints" / f"step-{kept:06d}.safetensors").unlink()


@pytest.mark.parametrize("length", [0, 4, 8, 60, -1])
def test_a_checkpoint_that_is_cut_off_gives_way_to_the_one_before(folder: RunFolder, length: int) -> None:
    folder.save_checkpoint(5, state(5))
    folder.save_checkpoint(10, state(10))
    newest = folder.path / "checkpoints" / "step-000010.safetensors"
    newest.write_bytes(newest.read_bytes()[:length])
    latest = folder.latest_checkpoint()
    assert latest is not None
    assert latest[0] == 5
    (folder.path / "checkpoints" / "step-000005.safetensors").write_bytes(b"")
    assert folder.latest_checkpoint() is None


def test_a_run_that_passed_over_damaged_checkpoints_keeps_its_own(folder: RunFolder) -> None:
    for step in (300, 377):
        folder.save_checkpoint(step, state(1))
        (folder.path / "checkpoints" / f"step-{step:06d}.safetensors").write_bytes(b"")
    for step in (50, 100, 150):
        folder.save_checkpoint(step, state(step % 100))
        latest = folder.latest_checkpoint()
        assert latest is not None
        assert latest[0] == step
    assert len(checkpoints(folder)) == 2


def test_a_checkpoint_that_another_program_wrote_is_passed_over(folder: RunFolder) -> None:
    from safetensors.torch import save_file

    folder.save_checkpoint(5, state(5))
    save_file(state(7), folder.path / "checkpoints" / "step-000007.safetensors")  # says no step
    latest = folder.latest_checkpoint()
    assert latest is not None
    assert latest[0] == 5


def test_a_checkpoint_that_cannot_be_written_leaves_the_ones_before(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.save_checkpoint(1, state(1))
    folder.save_checkpoint(2, state(2))
    before = contents(folder.path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        folder.save_checkpoint(3, state(3))
    assert contents(folder.path) == before


def test_a_finished_run_gives_its_result(folder: RunFolder) -> None:
    finished = folder.finish(VIDEOS, LABELS, VIDEOS.numel())
    assert finished.finished
    found = RunFolder.open(folder.path)
    assert found.finished
    assert found.document == finished.document
    assert (found.document.stored_values, found.document.stored_parameters) == (VIDEOS.numel(), 0)
    videos, labels, _ = found.result()
    assert torch.equal(videos, VIDEOS)
    assert torch.equal(labels, LABELS)


def test_the_digest_of_a_run_says_what_came_out(folder: RunFolder, tmp_path: Path) -> None:
    begun = folder.document.digest()
    one = folder.finish(VIDEOS, LABELS, VIDEOS.numel()).document.digest()
    size = VIDEOS.numel()
    same = RunFolder.create(tmp_path / "same", document()).finish(VIDEOS.clone(), LABELS, size).document.digest()
    other = RunFolder.create(tmp_path / "other", document()).finish(VIDEOS ^ 1, LABELS, size).document.digest()
    assert one == same
    assert len({begun, one, other}) == 3


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_result_that_was_changed_is_refused(folder: RunFolder, damage: str) -> None:
    folder.finish(VIDEOS, LABELS, VIDEOS.numel())
    path = folder.path / run_folder.RESULT
    if damage == "changed":
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    else:
        path.unlink()
    with pytest.raises(IdtdError, match="is missing or was changed since the run wrote it"):
        RunFolder.open(folder.path).result()


def test_the_time_of_all_steps_is_what_each_look_said_of_those_before_it(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", document())
    assert folder.seconds() is None
    folder.speed.write_text('{"step": 0, "seconds_per_step": 5.0}\n{"step": 10, "seconds_per_step": 0.5}\n')
    assert folder.seconds() == 5.0 + 10 * 0.5


def test_differences_name_keys_and_both_values() -> None:
    old = tiny.recipe()
    new = tiny.recipe(distill__ipc=5, distill__idtd__pool__scope="dataset", evaluate__students=9)
    assert run_folder.differences(old, new, "distill") == [
        'distill.idtd.pool.scope: "class", now "dataset"',
        "distill.ipc: 1, now 5",
    ]
    assert run_folder.differences(old, old, "distill") == []


def test_the_best_checkpoint_stays_beside_the_last_two(folder: RunFolder) -> None:
    assert folder.best_checkpoint() is None
    folder.save_best(1, 0.25, state(1))
    folder.save_best(2, 0.1 + 0.2, state(2))
    for step in (1, 2, 3, 4):
        folder.save_checkpoint(step, state(step))
    assert checkpoints(folder) == ["best.safetensors", "step-000003.safetensors", "step-000004.safetensors"]
    best = RunFolder.open(folder.path).best_checkpoint()
    assert best is not None
    step, score, found = best
    assert (step, score) == (2, 0.1 + 0.2)
    assert all(torch.equal(found[name], value) for name, value in state(2).items())
    latest = folder.latest_checkpoint()
    assert latest is not None
    assert latest[0] == 4


def test_the_same_best_checkpoint_has_the_same_bytes(folder: RunFolder) -> None:
    path = folder.path / "checkpoints" / "best.safetensors"
    written = set()
    for _ in range(20):
        folder.save_best(2, 0.5, state(2))
        written.add(path.read_bytes())
    assert len(written) == 1


@pytest.mark.parametrize("damage", [b"", b"{}", None])
def test_a_best_checkpoint_that_is_damaged_is_not_passed_over(folder: RunFolder, damage: bytes | None) -> None:
    """The scores before it are not known any more: another one would be taken for the best."""
    folder.save_best(2, 0.5, state(2))
    path = folder.path / "checkpoints" / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    with pytest.raises(IdtdError, match=r"best\.safetensors is damaged\. Distil again"):
        folder.best_checkpoint()


def test_previews_lie_in_order(folder: RunFolder) -> None:
    for step in (0, 50):
        folder.save_preview(step, b"png")
    names = sorted(path.relative_to(folder.path).as_posix() for path in (folder.path / "previews").iterdir())
    assert names == ["previews/step-000000.png", "previews/step-000050.png"]


def test_differences_of_a_part_of_a_section() -> None:
    old, new = tiny.recipe(), tiny.recipe(evaluate__fit={"steps": 9, "batch": 4}, evaluate__students=9)
    assert run_folder.differences(old, new, "evaluate.fit") == ["evaluate.fit.steps: 4, now 9"]


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"videos_NT3HW": VIDEOS},
        {"videos_NT3HW": VIDEOS.float(), "labels_N": LABELS},
        {"videos_NT3HW": VIDEOS[:2], "labels_N": LABELS[:2]},
        {"videos_NT3HW": VIDEOS, "labels_N": LABELS.flip(0)},
        {"videos_NT3HW": VIDEOS, "labels_N": LABELS, "logits_NKC": torch.zeros(3, 1)},
        None,
    ],
    ids=range(7),
)
def test_a_result_that_is_none_is_refused(folder: RunFolder, tensors: dict[str, torch.Tensor] | None) -> None:
    data = b"no tensors" if tensors is None else save({name: value.contiguous() for name, value in tensors.items()})
    (folder.path / "synthetic.safetensors").write_bytes(data)
    facts = {"result_sha256": hashlib.sha256(data).hexdigest()}
    signed = RunFolder(folder.path, folder.document.model_copy(update=facts))
    with pytest.raises(IdtdError, match=r"holds (no videos|other videos than run\.json says)"):
        signed.result()
