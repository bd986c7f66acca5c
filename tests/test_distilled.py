from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import idtd_cli
from idtd_cli import distilled
from idtd_cli.distilled import DistilledSet, SetDocument
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.recipe import ClipConfig, EvaluateConfig
from idtd_cli.video import decode
from tests.tiny import contents

#: Names that would be trouble as parts of a path or of a WebDataset key, and two that look alike once they are safe.
NAMES = ("a/b", "../up", "v1.5", "naïve 跑步", "", ".hidden", "x" * 300, "a\nb", "a?b", 'quo"te')
IPC, FRAMES, HEIGHT, WIDTH = 2, 4, 6, 10


def document(**changes: Any) -> SetDocument:
    count = len(NAMES) * IPC
    facts: dict[str, Any] = {
        "parents": {"run": "r", "prepared": "p"},
        "method": "idtd",
        "seed": 0,
        "classes": NAMES,
        "ipc": IPC,
        "videos_a_class": IPC,
        "clip": ClipConfig(frames=FRAMES, stored_frames=FRAMES, height=HEIGHT, width=WIDTH),
        "segments": 2,
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "evaluate": EvaluateConfig(),
        "stored_frames": count * FRAMES,
        "stored_bytes": count * FRAMES * 3 * HEIGHT * WIDTH,
        "fps": 8,
    }
    return SetDocument(**facts | changes)


def videos(seed: int = 0) -> torch.Tensor:
    shape = (len(NAMES) * IPC, FRAMES, 3, HEIGHT, WIDTH)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


LABELS = torch.arange(len(NAMES)).repeat_interleave(IPC)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distilled") / "set"
    folder.mkdir()
    distilled.write(folder, document(), videos(), LABELS)
    return folder


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(written, tmp_path / "copy"))


def test_what_is_written_is_read(written: Path) -> None:
    for found in (DistilledSet.open(written), idtd_cli.load(str(written))):
        assert found.document == document()
        assert torch.equal(found.videos_NT3HW, videos())
        assert torch.equal(found.labels_N, LABELS)


def test_the_shards_hold_every_value(written: Path) -> None:
    with tarfile.open(next((written / "data").glob("*.tar"))) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    keys = sorted({name.partition(".")[0] for name in members})
    assert len(keys) == len(LABELS)
    for number, key in enumerate(keys):
        assert {name for name in members if name.startswith(key)} == {f"{key}.{e}" for e in ("cls", "json", "mp4")}
        label = number // IPC
        assert members[f"{key}.cls"] == str(label).encode()
        assert json.loads(members[f"{key}.json"]) == {"class": NAMES[label], "label": label, "segments": 2}
        frames = torch.from_numpy(decode.read_exact(members[f"{key}.mp4"])).permute(0, 3, 1, 2)
        assert torch.equal(frames, videos()[number])


def test_any_class_name_gives_a_safe_file_name(written: Path) -> None:
    names = sorted(path.name for path in (written / "videos").iterdir())
    assert len(names) == len(LABELS)
    for number, name in enumerate(names):
        assert name.startswith(f"{number // IPC:04d}-")
        assert name.endswith(f"-{number % IPC:03d}.mp4")
        assert name.removesuffix(".mp4").replace("-", "").replace("_", "").isalnum()
        assert name.isascii()
        assert len(name) < 100


def test_there_is_a_checksum_of_every_file(written: Path) -> None:
    sums = distilled.read_sums(written)
    files = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    assert set(sums) == files - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((written / name).read_bytes()).hexdigest() == digest


def test_writing_again_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    distilled.write(tmp_path, document(), videos(), LABELS)
    assert contents(tmp_path) == contents(written)


def test_clips_that_were_changed_are_refused(copy: Path) -> None:
    path = copy / distilled.CLIPS
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"clips\.safetensors does not match its checksum in SHA256SUMS"):
        DistilledSet.open(copy)


@pytest.mark.parametrize("file", [distilled.CLIPS, distilled.SUMS])
def test_a_file_that_is_missing_is_refused(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(InputError, match="does not match its checksum in SHA256SUMS"):
        DistilledSet.open(copy)


def test_sums_that_are_no_text_are_refused(copy: Path) -> None:
    (copy / distilled.SUMS).write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match="SHA256SUMS is damaged or forged: line 1"):
        DistilledSet.open(copy)


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "/x", "a//x", "./x", ".git/config", "a/.x", "C:x", "a\\x", "a\x07", "x ", " x", "set.json"],
)
def test_sums_that_name_a_file_elsewhere_are_refused(copy: Path, name: str) -> None:
    with open(copy / distilled.SUMS, "a", encoding="utf-8") as file:
        file.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(InputError, match="SHA256SUMS is damaged or forged: line"):
        distilled.read_sums(copy)


@given(st.text(st.sampled_from("a./\\ :~\t\n\u2028é"), min_size=1, max_size=8))
def test_a_name_that_is_taken_stays_inside(name: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "set"
        folder.mkdir()
        (folder / distilled.SUMS).write_text(f"{'0' * 64}  {name}\n", encoding="utf-8", newline="\n")
        try:
            found = distilled.read_sums(folder)
        except InputError:
            return
        assert list(found) == [name]
        assert folder.resolve() in (folder / name).resolve().parents
        assert all(part.strip(". ") == part for part in name.split("/"))


def forge(folder: Path, tensors: dict[str, torch.Tensor] | None) -> None:
    """Put other clips into a set, with the right checksum."""
    path = folder / distilled.CLIPS
    if tensors is None:
        path.write_bytes(b"no tensors")
    else:
        save_file(tensors, path)
    text = (folder / distilled.SUMS).read_text()
    old = distilled.read_sums(folder)[distilled.CLIPS]
    (folder / distilled.SUMS).write_text(text.replace(old, hashlib.sha256(path.read_bytes()).hexdigest()))


@pytest.mark.parametrize(
    "change",
    [
        {"videos_NT3HW": videos()[:-1]},
        {"videos_NT3HW": videos().float()},
        {"videos_NT3HW": videos().transpose(1, 2).contiguous()},
        {"labels_N": LABELS.flip(0).contiguous()},
        {"labels_N": LABELS[:-1].clone()},
        {"labels_N": None},
        {"videos_NT3HW": None},
    ],
)
def test_clips_that_do_not_fit_the_document_are_refused(copy: Path, change: dict[str, torch.Tensor | None]) -> None:
    tensors = load_file(copy / distilled.CLIPS) | change
    forge(copy, {name: tensor for name, tensor in tensors.items() if tensor is not None})
    with pytest.raises(InputError, match=r"clips.safetensors does not hold what set.json says"):
        DistilledSet.open(copy)


def test_a_set_may_hold_more_videos_than_it_stores_but_as_many_as_it_says(tmp_path: Path) -> None:
    distilled.write(tmp_path, document(ipc=1), videos(), LABELS)
    assert torch.equal(DistilledSet.open(tmp_path).labels_N, LABELS)
    document(videos_a_class=1).write(tmp_path)
    with pytest.raises(InputError, match=r"clips.safetensors does not hold what set.json says"):
        DistilledSet.open(tmp_path)


LOGITS_NKC = torch.arange(len(LABELS) * 2 * len(NAMES)).view(len(LABELS), 2, len(NAMES)) / 7


def test_soft_labels_are_kept_in_both_forms(tmp_path: Path) -> None:
    distilled.write(tmp_path, document(temperature=3.0), videos(), LABELS, LOGITS_NKC)
    assert torch.equal(DistilledSet.open(tmp_path).logits_NKC, LOGITS_NKC)  # type: ignore[arg-type]
    with tarfile.open(next((tmp_path / "data").glob("*.tar"))) as tar:
        facts = [json.load(tar.extractfile(member)) for member in tar if member.name.endswith(".json")]  # type: ignore[arg-type]
    assert torch.equal(torch.tensor([each["logits"] for each in facts]), LOGITS_NKC)
    assert {each["temperature"] for each in facts} == {3.0}


@pytest.mark.parametrize(
    ("temperature", "logits"),
    [
        (None, LOGITS_NKC),
        (3.0, None),
        (3.0, LOGITS_NKC[:, :1].contiguous()),
        (3.0, LOGITS_NKC.double()),
        (3.0, LOGITS_NKC / 0),
    ],
)
def test_soft_labels_that_do_not_fit_the_document_are_refused(
    copy: Path, temperature: float | None, logits: torch.Tensor | None
) -> None:
    document(temperature=temperature).write(copy)
    forge(copy, load_file(copy / distilled.CLIPS) | ({} if logits is None else {"logits_NKC": logits}))
    with pytest.raises(InputError, match=r"clips.safetensors does not hold what set.json says"):
        DistilledSet.open(copy)


def test_clips_that_are_no_tensors_are_refused(copy: Path) -> None:
    forge(copy, None)
    with pytest.raises(InputError, match=r"clips.safetensors is damaged"):
        DistilledSet.open(copy)


@pytest.mark.parametrize("change", [{"ipc": 0}, {"ipc": -1}, {"videos_a_class": 0}, {"segments": 0}])
def test_a_document_that_makes_no_sense_is_refused(copy: Path, change: dict[str, object]) -> None:
    path = copy / SetDocument.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=f"set.json is damaged at {next(iter(change))}"):
        DistilledSet.open(copy)


@pytest.mark.parametrize("form", ["shard", "video", "clips"])
def test_a_form_that_does_not_read_back_fails_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """An encoder that loses a value or a frame is found before anybody relies on the set."""
    from idtd_cli.video import encode

    lossless, viewable = encode.write_lossless, encode.write_viewable
    if form == "shard":
        monkeypatch.setattr(encode, "write_lossless", lambda path, frames, fps: lossless(path, frames ^ 1, fps))
    elif form == "video":
        monkeypatch.setattr(encode, "write_viewable", lambda path, frames, fps: viewable(path, frames[1:], fps))
    else:
        monkeypatch.setattr(distilled, "save", lambda tensors: b"")
    with pytest.raises(IdtdError):
        distilled.write(tmp_path, document(), videos(), LABELS)


@pytest.mark.parametrize("name", ["a:b", "pipe:ls", "{0..3}", "with space", "a::b"])
def test_any_folder_name_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """WebDataset takes some paths for addresses or commands."""
    monkeypatch.chdir(tmp_path)
    folder = Path(name)
    folder.mkdir()
    facts = {"classes": ("a", "b"), "ipc": 1, "videos_a_class": 1}
    distilled.write(folder, document(**facts), videos()[:2], torch.arange(2))
    assert torch.equal(DistilledSet.open(folder).videos_NT3HW, videos()[:2])
