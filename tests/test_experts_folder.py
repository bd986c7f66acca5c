from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.experts_folder import Check, ExpertsDocument, ExpertsFolder
from tests import tiny
from tests.tiny import contents

NETWORK = {"b": torch.zeros(3), "a": torch.zeros(2, 3)}
#: Of an expert of the tiny recipe: before the first of six updates, and after every other.
SNAPSHOTS = 4


def document() -> ExpertsDocument:
    recipe = tiny.recipe()
    return ExpertsDocument(
        parents={"prepared": "p", "experts": "e"},
        network=recipe.distill.network,
        augmentation=recipe.distill.augmentation,
        config=recipe.experts,
        classes=("ünï", "b"),
        device="cpu",
        versions={"python": "3"},
    )


def snapshots(number: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(number)
    return {name: torch.randn(SNAPSHOTS, *weight.shape, generator=generator) for name, weight in NETWORK.items()}


@pytest.fixture
def folder(tmp_path: Path) -> ExpertsFolder:
    """Two experts, and no third one yet."""
    made = ExpertsFolder.create(tmp_path / "experts", document())
    for number in range(2):
        made.add(snapshots(number))
    return made


def test_experts_begin_with_none(tmp_path: Path) -> None:
    ExpertsFolder.create(tmp_path / "experts", document())
    found = ExpertsFolder.open(tmp_path / "experts")
    assert found.document == document()
    assert found.trained == 0
    assert not found.document.finished


def test_they_do_not_begin_where_something_is(folder: ExpertsFolder) -> None:
    before = contents(folder.path)
    with pytest.raises(InputError, match="already holds something else"):
        ExpertsFolder.create(folder.path, document())
    assert contents(folder.path) == before


def test_what_was_added_comes_back(folder: ExpertsFolder) -> None:
    found = ExpertsFolder.open(folder.path)
    assert found.trained == 2
    for number in range(2):
        read = found.snapshots(number, NETWORK)
        assert read.keys() == NETWORK.keys()
        assert all(torch.equal(read[name], stacked) for name, stacked in snapshots(number).items())


def test_the_layout_in_memory_does_not_matter(folder: ExpertsFolder) -> None:
    folder.add({name: stacked.transpose(0, -1).contiguous().transpose(0, -1) for name, stacked in snapshots(0).items()})
    assert folder.document.trajectories[2] == folder.document.trajectories[0]


def test_an_expert_that_was_cut_off_is_written_again(folder: ExpertsFolder) -> None:
    """Killed between the file and the document: the document counts."""
    expected = contents(folder.path)
    (folder.path / "expert-0002.safetensors").write_bytes(b"half of it")
    found = ExpertsFolder.open(folder.path)
    assert found.trained == 2
    found.add(snapshots(2))
    folder.add(snapshots(2))
    assert contents(found.path).keys() == expected.keys() | {"expert-0002.safetensors"}
    assert torch.equal(ExpertsFolder.open(folder.path).snapshots(2, NETWORK)["a"], snapshots(2)["a"])


def test_the_end_is_marked_and_the_digest_says_what_came_out(folder: ExpertsFolder) -> None:
    begun = folder.document.digest()
    folder.finish(Check(clips=6, experts=0.5, student=0.75))
    found = ExpertsFolder.open(folder.path).document
    assert found.finished
    assert found.check == Check(clips=6, experts=0.5, student=0.75)
    assert found.digest() == folder.document.digest() != begun


@pytest.mark.parametrize("damage", ["changed", "missing", "cut off"])
def test_an_expert_that_was_changed_is_refused(folder: ExpertsFolder, damage: str) -> None:
    path = folder.path / "expert-0001.safetensors"
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if damage == "cut off" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(IdtdError, match=r"expert-0001.safetensors is missing or was changed since it was written"):
        folder.snapshots(1, NETWORK)
    folder.snapshots(0, NETWORK)


@pytest.mark.parametrize(
    "other",
    [
        {"a": NETWORK["a"]},
        NETWORK | {"c": NETWORK["a"]},
        NETWORK | {"a": torch.zeros(3, 2)},
        NETWORK | {"a": torch.zeros(2, 3, dtype=torch.float16)},
    ],
    ids=["fewer", "more", "shape", "type"],
)
def test_weights_of_another_network_are_refused(folder: ExpertsFolder, other: dict[str, Tensor]) -> None:
    with pytest.raises(IdtdError, match=r"holds other weights than experts.json says"):
        folder.snapshots(0, other)


def test_another_number_of_snapshots_is_refused(folder: ExpertsFolder) -> None:
    folder.add({name: stacked[1:] for name, stacked in snapshots(2).items()})
    with pytest.raises(IdtdError, match=r"holds other weights than experts.json says"):
        folder.snapshots(2, NETWORK)


def test_a_file_that_is_none_of_tensors_is_refused(folder: ExpertsFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may have written both it and its digest."""
    import hashlib

    data = b"\x80\x04 is how a pickle begins"
    (folder.path / "expert-0001.safetensors").write_bytes(data)
    digests = (folder.document.trajectories[0], hashlib.sha256(data).hexdigest())
    folder.document.model_copy(update={"trajectories": digests}).write(folder.path)
    with pytest.raises(IdtdError, match="is no file of weights"):
        ExpertsFolder.open(folder.path).snapshots(1, NETWORK)


def test_the_files_are_plain_safetensors(folder: ExpertsFolder, tmp_path: Path) -> None:
    path = folder.path / "expert-0000.safetensors"
    save_file(load_file(path), tmp_path / "again")
    assert path.read_bytes() == (tmp_path / "again").read_bytes()
