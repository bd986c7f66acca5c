"""Each form is read back as the programs do for which it is made; their loading code is retold here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from idtd_cli.distilled import DistilledSet, digest, other_forms
from idtd_cli.distilled.other_forms import Form, FormDocument
from idtd_cli.sources.registry import find
from tests.distilled import making
from tests.distilled.making import FRAMES, HEIGHT, IPC, LABELS, LOGITS_NKC, NAMES, SEGMENTS, WIDTH, videos


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> DistilledSet:
    folder = tmp_path_factory.mktemp("forms") / "set"
    making.write(folder, LOGITS_NKC, temperature=3.0, export={"payload": "tensor"})
    return DistilledSet.open(folder)


def write(folder: Path, opened: DistilledSet, form: Form) -> FormDocument:
    folder.mkdir()
    return other_forms.write(folder, opened, form)


def tensor(folder: Path, name: str) -> torch.Tensor:
    """As both programs load it, in the way that runs no code."""
    loaded = torch.load(folder / name, map_location="cpu", weights_only=True)
    assert isinstance(loaded, torch.Tensor)
    return loaded


def normalised() -> torch.Tensor:
    mean, std = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
    return (videos() / 255 - mean) / std


def test_video_methods_train_on_the_tensors(opened: DistilledSet, tmp_path: Path) -> None:
    """evaluate_synset of VDSD: TensorDataset(images, labels), (T, C, H, W) a sample; it makes them (C, T, H, W)."""
    write(tmp_path / "form", opened, "tensors")
    images, labels = tensor(tmp_path / "form", "images.pt"), tensor(tmp_path / "form", "labels.pt")
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert torch.allclose(images, normalised(), atol=1e-6)
    assert labels.tolist() == [label for label in range(len(NAMES)) for _ in range(IPC)]
    network = torch.nn.Conv3d(3, len(NAMES), (FRAMES, HEIGHT, WIDTH))
    for batch, wanted in DataLoader(TensorDataset(images.detach().float(), labels.detach()), batch_size=7):
        assert functional.cross_entropy(network(batch.permute(0, 2, 1, 3, 4)).flatten(1), wanted).isfinite()
    assert torch.equal(tensor(tmp_path / "form", "logits.pt"), LOGITS_NKC)


def test_dd_ranking_is_given_frames_as_images(opened: DistilledSet, tmp_path: Path) -> None:
    """compute_metrics(image_tensor=…, hard_labels=… or soft_labels=…): an image and its label, pair by pair."""
    document = write(tmp_path / "form", opened, "ddranking")
    images, hard, soft = (tensor(tmp_path / "form", f"{name}.pt") for name in ("images", "hard_labels", "soft_labels"))
    ipc = IPC * FRAMES
    assert f"{ipc} a class (ipc)" in document.files["images.pt"]
    # Without labels of its own it takes ipc images of each class for granted, in class order.
    assert torch.equal(hard, torch.arange(len(NAMES)).repeat_interleave(ipc))
    assert images.shape == (len(NAMES) * ipc, 3, HEIGHT, WIDTH)
    for number in (0, 5, len(images) - 1):
        video, frame = divmod(number, FRAMES)
        assert torch.allclose(images[number], normalised()[video, frame], atol=1e-6)
        assert torch.equal(soft[number], LOGITS_NKC[video, frame * SEGMENTS // FRAMES])
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * HEIGHT * WIDTH, len(NAMES)))
    pairs = [(image, label) for image, label in zip(images, soft, strict=True)]  # as its TensorDataset keeps them
    for batch, wanted in DataLoader(pairs, batch_size=16):  # type: ignore[arg-type]
        taught = functional.softmax(wanted / 1.2, dim=1)  # its SoftCrossEntropyLoss takes logits
        assert torch.sum(-functional.log_softmax(network(batch) / 1.2, dim=1) * taught).isfinite()


def test_frames_are_folders_of_pictures(opened: DistilledSet, tmp_path: Path) -> None:
    """The Kinetics400 class of VDSD stacks all pictures of a folder; UCF101 asks for frame000001 and on."""
    write(tmp_path / "form", opened, "frames")
    folders = opened.document.class_files()
    for number in range(len(LABELS)):
        video = tmp_path / "form" / folders[number // IPC] / opened.document.key(number)
        pictures = sorted(video.iterdir())
        assert [path.name for path in pictures] == [f"frame{frame:06d}.png" for frame in range(1, FRAMES + 1)]
        stacked = np.stack([np.asarray(Image.open(path)) for path in pictures])
        assert torch.equal(torch.from_numpy(stacked).permute(0, 3, 1, 2), videos()[number])


def test_frames_are_a_source(opened: DistilledSet, tmp_path: Path) -> None:
    write(tmp_path / "form", opened, "frames")
    source = find(str(tmp_path / "form"))
    assert (source.kind, source.classes) == ("frames", tuple(opened.document.class_files()))
    assert sorted(video.label for video in source.videos) == LABELS.tolist()


@pytest.mark.parametrize("form", ["tensors", "ddranking", "frames"])
def test_a_form_says_what_it_is(opened: DistilledSet, tmp_path: Path, form: Form) -> None:
    written = write(tmp_path / "form", opened, form)
    assert (written.parents, written.classes, written.segments) == ({"set": digest(opened.path)}, NAMES, SEGMENTS)
    assert json.loads((tmp_path / "form" / "form.json").read_text())["kind"] == "distilled set in another form"
    for name in written.files:
        assert "/" in name or (tmp_path / "form" / name).is_file()


def test_a_set_without_soft_labels_has_none_in_any_form(tmp_path: Path) -> None:
    making.small(tmp_path / "set", export={"payload": "tensor"})
    hard = DistilledSet.open(tmp_path / "set")
    for form, names in (("tensors", {"images.pt", "labels.pt"}), ("ddranking", {"images.pt", "hard_labels.pt"})):
        assert set(write(tmp_path / form, hard, form).files) == names  # type: ignore[arg-type]
        assert {path.name for path in (tmp_path / form).iterdir()} == {*names, "form.json"}
