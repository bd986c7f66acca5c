from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from idtd_cli import documents
from idtd_cli.errors import InputError
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import DecodeConfig
from idtd_cli.report.document import ReportDocument
from idtd_cli.runlog import Quiet
from idtd_cli.stages import prepare
from idtd_cli.stages.evaluate import other_sets
from idtd_cli.stages.evaluate.other_sets import OtherSet
from idtd_cli.video import encode
from tests import tiny

CLASSES = len(tiny.CLASSES)


def find(address: str, prepared: Path, progress: Any = None) -> OtherSet:
    decode = DecodeConfig(workers=1)
    return other_sets.find(address, PreparedSet.open(prepared), decode, "cpu", progress or Quiet())


def refused(words: str, address: str, prepared: Path) -> str:
    with pytest.raises(InputError) as caught:
        find(address, prepared)
    assert words in str(caught.value)
    return str(caught.value)


def clips(count: int = 2 * CLASSES) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 4, 3, 16, 16), dtype=torch.uint8, generator=generator)


def saved(path: Path, content: Any) -> str:
    torch.save(content, path)
    return f"import:{path}"


def test_a_tensor_in_class_order(prepared: Path, tmp_path: Path) -> None:
    found = find(saved(tmp_path / "clips.pt", clips()), prepared)
    assert torch.equal(torch.as_tensor(found.videos_NF3HW), clips())
    assert found.labels_N.tolist() == [0, 0, 1, 1, 2, 2]
    assert (found.ipc, found.frames, found.stored_frames, found.stored_bytes) == (2, 4, 24, clips().numel())
    assert torch.equal(found.example_CT3HW(), clips()[::2])


@pytest.mark.parametrize("form", ["pair", "videos", "images"])
def test_labels_put_clips_into_class_order(prepared: Path, tmp_path: Path, form: str) -> None:
    labels = torch.tensor([2, 0, 1, 0])
    content: Any = (clips(4), labels) if form == "pair" else {form: clips(4), "labels": labels, "note": "mine"}
    found = find(saved(tmp_path / "clips.pt", content), prepared)
    assert found.labels_N.tolist() == [0, 0, 1, 2]
    assert torch.equal(torch.as_tensor(found.videos_NF3HW), clips(4)[[1, 3, 2, 0]])
    assert found.ipc == 2  # of four clips of three classes, rounded up


def test_floats_are_brought_to_the_range_of_bytes_and_not_rounded(prepared: Path, tmp_path: Path) -> None:
    exact = clips().double() / 255
    unit = find(saved(tmp_path / "unit.pt", exact.float()), prepared)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = ((exact - mean[:, None, None]) / std[:, None, None]).float()
    peer = find(saved(tmp_path / "peer.pt", normalised) + "?values=imagenet", prepared)
    own = PreparedSet.open(prepared).document
    mean, std = torch.tensor(own.mean), torch.tensor(own.std)
    normalised = ((exact - mean[:, None, None]) / std[:, None, None]).float()
    data = find(saved(tmp_path / "data.pt", normalised) + "?values=data", prepared)
    for found in (unit, peer, data):
        assert torch.allclose(torch.as_tensor(found.videos_NF3HW), clips().float(), atol=1e-3)
        assert found.stored_bytes == 4 * clips().numel()  # floats are what that tool stores
    beyond = find(saved(tmp_path / "beyond.pt", exact.float() * 300) + "?values=bytes", prepared)
    assert torch.as_tensor(beyond.videos_NF3HW).max() > 255  # they need not stay within what a file can hold
    assert len({found.digest for found in (unit, peer, data, beyond)}) == 4


def test_floats_that_do_not_say_what_they_are_are_refused(prepared: Path, tmp_path: Path) -> None:
    address = saved(tmp_path / "clips.pt", clips().float() / 60 - 2)
    assert "?values=imagenet" in refused("does not say what they are", address, prepared)
    refused("no values pixels", f"{address}?values=pixels", prepared)


class _Evil:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("pwned"),)


@pytest.mark.parametrize("case", ["pickle", "inside", "text", "cut off", "missing", "compressed"])
def test_a_file_that_is_not_tensors_alone_is_refused_and_never_run(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "clips.pt"
    match case:
        case "pickle":
            path.write_bytes(pickle.dumps(_Evil()))
        case "inside":
            torch.save({"videos": clips(), "labels": _Evil()}, path)
        case "text":
            path.write_text("no tensors here\n" * 100)
        case "cut off":
            torch.save(clips(), path)
            path.write_bytes(path.read_bytes()[:-2000])
        case "compressed":
            torch.save(clips(), path)
            packed = io.BytesIO()
            with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
                for record in old.infolist():
                    new.writestr(record.filename, old.read(record))
            path.write_bytes(packed.getvalue())
    expected = {"missing": "There is no", "compressed": "is compressed", "inside": "something else than tensors"}
    refused(expected.get(case, "is no file of torch.save"), f"import:{path}", prepared)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (torch.zeros(1).expand(3, 4_000_000, 3, 16, 16), "claims to hold more"),
        (clips()[:, :, :1], "not (N, T, 3, H, W)"),
        (clips()[..., :8], "of 16x8 pixels"),
        (clips(4), "no multiple of the 3 classes"),
        ((clips(3), torch.tensor([0, 1, 1])), "not each of 0 to 2"),
        ((clips(3), torch.rand(3, 3)), "not 3 integers"),
        (clips().int(), "torch.int32"),
        (clips().float() / 0, "not finite"),
        ({"frames": clips()}, "no clips that can be found"),
        ([clips(), "labels"], "no clips that can be found"),
    ],
)  # fmt: skip
def test_clips_that_do_not_fit_are_refused(prepared: Path, tmp_path: Path, content: Any, words: str) -> None:
    refused(words, saved(tmp_path / "clips.pt", content), prepared)


def test_clips_that_are_being_optimised_are_taken_as_they_are(prepared: Path, tmp_path: Path) -> None:
    learnt = (clips().float() / 255).requires_grad_()
    found = find(saved(tmp_path / "clips.pt", {"videos": learnt}), prepared)
    assert not torch.as_tensor(found.videos_NF3HW).requires_grad


@pytest.mark.parametrize("data", [b"\x80\x02.", b"\x80\x02(.", b"\x80\x02N0.", b"\x80\x02\x85."])
def test_bytes_that_are_no_pickle_of_tensors_are_refused(prepared: Path, tmp_path: Path, data: bytes) -> None:
    torch.save(clips(), tmp_path / "clips.pt")
    made = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "clips.pt") as old, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as new:
        for record in old.infolist():
            new.writestr(record.filename, data if record.filename.endswith("data.pkl") else old.read(record))
    (tmp_path / "clips.pt").write_bytes(made.getvalue())
    refused("", f"import:{tmp_path / 'clips.pt'}", prepared)


def test_one_file_may_be_taken_in_two_ways(prepared: Path, exported: Path, tmp_path: Path) -> None:
    address = saved(tmp_path / "clips.pt", clips(CLASSES).float() / 255)
    ways = [f"{address}?values=unit", f"{address}?values=data"]
    report = documents.read(ReportDocument, tiny.evaluate([exported, *ways], prepared, tmp_path / "report"))
    assert [one.set for one in report.results if one.set] == ["idtd", "clips.pt?values=unit", "clips.pt?values=data"]
    with pytest.raises(InputError, match="is named twice"):
        tiny.evaluate([*ways, ways[0]], prepared, tmp_path / "other")


def test_videos_that_are_held_out_are_not_trained_on(videos: Path, tmp_path: Path) -> None:
    """The source that a prepared set was split from holds its test videos, too."""
    bare = tmp_path / "videos"
    for path in sorted(videos.glob("*/*.mp4")):
        (bare / path.parent.name).mkdir(parents=True, exist_ok=True)
        (bare / path.parent.name / path.name).write_bytes(path.read_bytes())
    content = tiny.recipe(prepare__split={"validation": 0.0, "test": 0.4}, prepare__decode={"workers": 1})
    prepare.run(bare, tmp_path / "prepared", content, Quiet())
    message = refused("holds out of training; the first is ", f"folder:{bare}", tmp_path / "prepared")
    assert "Give them to test in its lists" in message
    other = content.model_copy(
        update={
            "prepare": content.prepare.model_copy(
                update={"split": content.prepare.split.model_copy(update={"seed": 5})}
            )
        }
    )
    prepare.run(bare, tmp_path / "other", other, Quiet())
    refused("holds out of training", f"prepared:{tmp_path / 'other'}", tmp_path / "prepared")


def write_videos(folder: Path, classes: tuple[str, ...], frames: int = 9) -> Path:
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(2):
            clip = tiny.draw_clip(label % 3, number, frames, 32).transpose(0, 2, 3, 1)
            encode.write_lossless(folder / name / f"{number}.mp4", np.ascontiguousarray(clip), 8)
    return folder


def test_a_folder_of_videos(prepared: Path, tmp_path: Path) -> None:
    folder = write_videos(tmp_path / "videos", tiny.CLASSES)
    (folder / "left" / "broken.mp4").write_bytes(b"no video")
    heard = tiny.Heard()
    found = find(f"folder:{folder}", prepared, heard)
    assert found.labels_N.tolist() == [0, 0, 1, 1, 2, 2]
    assert tuple(found.videos_NF3HW.shape) == (6, 4, 3, 16, 16)
    assert found.stored_bytes == 6 * 4 * 3 * 16 * 16
    assert any("left/broken.mp4" in note and "left out" in note for note in heard.notes)
    again = find(f"folder:{folder}", prepared)
    assert again.digest == found.digest


def test_classes_are_matched_by_name_whatever_their_order(prepared: Path, tmp_path: Path) -> None:
    folder = write_videos(tmp_path / "videos", tiny.CLASSES)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in reversed(tiny.CLASSES)))
    plain = find(f"folder:{write_videos(tmp_path / 'plain', tiny.CLASSES)}", prepared)
    assert find(f"folder:{folder}", prepared).digest == plain.digest


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (("left", "right", "up"), "has the class up, which"),
        (("left", "right"), "no video of the class rest"),
    ],
)
def test_videos_of_other_classes_are_refused(
    prepared: Path, tmp_path: Path, classes: tuple[str, ...], words: str
) -> None:
    refused(words, f"folder:{write_videos(tmp_path / 'videos', classes)}", prepared)


def test_a_class_whose_videos_are_all_broken_is_refused(prepared: Path, tmp_path: Path) -> None:
    folder = write_videos(tmp_path / "videos", tiny.CLASSES)
    for path in (folder / "rest").iterdir():
        path.write_bytes(b"no video")
    refused("no training video of the class rest", f"folder:{folder}", prepared)


def test_more_videos_than_memory_are_refused(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_sets.clips, "free_bytes", lambda _: 1000)
    assert "prepared:DIR" in refused(
        "need 18.4 KB of memory", f"folder:{write_videos(tmp_path / 'v', tiny.CLASSES)}", prepared
    )


def test_shards_that_name_classes_by_number(prepared: Path, exported: Path, tmp_path: Path) -> None:
    """A distilled set's own shards, read as anyone's."""
    found = find(f"webdataset:{exported}", prepared)
    assert found.labels_N.tolist() == [0, 1, 2]
    assert tuple(found.videos_NF3HW.shape) == (3, 4, 3, 16, 16)


def test_the_training_clips_of_a_prepared_set(prepared: Path) -> None:
    found = find(f"prepared:{prepared}", prepared)
    assert torch.equal(torch.as_tensor(found.videos_NF3HW), PreparedSet.open(prepared).clips("train")[0])
    assert found.ipc == tiny.COUNTS["train"]
    assert found.example_CT3HW().shape == (3, 8, 3, 16, 16)


def test_all_of_them_are_judged_beside_a_distilled_set(prepared: Path, exported: Path, tmp_path: Path) -> None:
    folder = write_videos(tmp_path / "videos", tiny.CLASSES)
    sets = [exported, saved(tmp_path / "clips.pt", clips(CLASSES)), f"folder:{folder}", f"prepared:{prepared}"]
    out = tiny.evaluate(sets, prepared, tmp_path / "report")
    report = documents.read(ReportDocument, out)
    assert [(one.method, one.set, one.ipc) for one in report.results] == [
        ("idtd", "idtd", 1), ("other", "clips.pt", 1), ("other", "videos", 2), ("other", "prepared", 5),
        ("random", None, 1), ("random", None, 2), ("random", None, 5), ("full", None, None),
    ]  # fmt: skip
    by_set = {one.set or f"{one.method} {one.ipc}": one for one in report.results}
    assert by_set["prepared"].top1.values[0] == by_set["full None"].top1.values[0]  # the same clips, the same student
    names = [(pair.one, pair.other) for pair in report.differences]
    assert names == [
        ("idtd", "random"),
        ("clips.pt", "random"),
        ("idtd", "clips.pt"),
        ("videos", "random"),
        ("prepared", "random"),
    ]
