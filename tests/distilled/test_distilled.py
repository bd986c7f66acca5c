from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import idtd_cli
from idtd_cli import distilled
from idtd_cli.distilled import DistilledSet, SetDocument
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.video import encode
from tests.distilled import making
from tests.distilled.making import IPC, LABELS, LOGITS_NKC, SEGMENTS, document, videos
from tests.tiny import contents


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distilled") / "set"
    making.write(folder)
    return folder


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copy"))


def test_what_is_written_is_read(written: Path) -> None:
    for found in (DistilledSet.open(written), idtd_cli.load(str(written))):
        assert found.document.model_copy(update={"lossy_error": 0.0, "payload_bytes": 0}) == document()
        assert torch.equal(found.videos_NT3HW, videos())
        assert torch.equal(found.labels_N, LABELS)
        assert found.logits_NKC is None


def test_which_files_there_are(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == {
        "set.json", "SHA256SUMS", "data", "videos", "poster.png", "preview.gif", "filmstrips", "croissant.json",
    }  # fmt: skip


def test_any_class_name_gives_a_safe_file_name(written: Path) -> None:
    names = [document().key(number) for number in range(len(LABELS))]
    assert names == sorted(set(names))
    for number, name in enumerate(names):
        assert name.startswith(f"{number // IPC:04d}-")
        assert name.endswith(f"-{number % IPC:03d}")
        assert name.replace("-", "").replace("_", "").isalnum()
        assert name.isascii()
        assert len(name) < 80


@pytest.mark.parametrize(
    ("classes", "files"),
    [
        (("walk", "lie down", "v1.5"), ["walk", "lie_down", "v1_5"]),
        (("a/b", "a?b"), ["0000-a_b", "0001-a_b"]),
        (("Run", "run"), ["0000-Run", "0001-run"]),  # one folder, on some systems
        (("", "x"), ["0000-", "0001-x"]),
    ],
)
def test_a_class_has_its_own_name_where_all_can(classes: tuple[str, ...], files: list[str]) -> None:
    assert document(classes=classes).class_files() == files


def test_there_is_a_checksum_of_every_file(written: Path) -> None:
    sums = distilled.read_sums(written)
    files = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    assert set(sums) == files - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((written / name).read_bytes()).hexdigest() == digest


def test_writing_again_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    making.write(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(written)


def test_a_shard_that_was_changed_is_refused(copy: Path) -> None:
    (path,) = (copy / "data").iterdir()
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"train-000000-of-000001\.tar does not match its checksum in SHA256SUMS"):
        DistilledSet.open(copy)


@pytest.mark.parametrize("file", ["data/train-000000-of-000001.tar", distilled.SUMS])
def test_a_file_that_is_missing_is_refused(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(InputError, match=r"does not match its checksum in SHA256SUMS|holds 0 shards"):
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


def test_a_set_of_the_older_form_is_refused_with_what_to_do(copy: Path) -> None:
    making.edit(copy, schema_version=1)
    with pytest.raises(InputError, match=r"has schema version 1.*3\. Write it again with `idtd export RUN OUT`"):
        DistilledSet.open(copy)


def test_a_set_may_hold_more_videos_than_it_stores(copy: Path) -> None:
    making.edit(copy, ipc=1)
    assert torch.equal(DistilledSet.open(copy).labels_N, LABELS)


def test_soft_labels_are_kept(tmp_path: Path) -> None:
    making.write(tmp_path / "set", LOGITS_NKC, temperature=3.0)
    assert torch.equal(DistilledSet.open(tmp_path / "set").logits_NKC, LOGITS_NKC)  # type: ignore[arg-type]


def test_videos_out_of_order_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="class order"):
        distilled.write(tmp_path, document(), videos(), LABELS.flip(0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [{"ipc": 0}, {"ipc": -1}, {"videos_a_class": 0}, {"segments": 0}, {"shards": 0}, {"export": {"payload": "pickle"}}],
)
def test_a_document_that_makes_no_sense_is_refused(copy: Path, change: dict[str, object]) -> None:
    making.edit(copy, **change)
    with pytest.raises(InputError, match=f"{SetDocument.FILE} is damaged at {next(iter(change))}"):
        DistilledSet.open(copy)


@pytest.mark.parametrize("form", ["shard", "video"])
def test_a_form_that_does_not_read_back_fails_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """An encoder that loses a value or a frame is found before anybody relies on the set."""
    lossless, viewable = encode.write_lossless, encode.write_viewable
    if form == "shard":
        monkeypatch.setattr(encode, "write_lossless", lambda path, frames, fps: lossless(path, frames ^ 1, fps))
    else:
        monkeypatch.setattr(encode, "write_viewable", lambda path, frames, fps: viewable(path, frames[1:], fps))
    with pytest.raises(IdtdError):
        making.small(tmp_path / "set")


def test_soft_labels_that_do_not_read_back_fail_the_write(tmp_path: Path) -> None:
    logits = torch.full((2, SEGMENTS, 2), 1 + 1e-12, dtype=torch.double)  # more than a float32 can tell
    with pytest.raises(IdtdError):
        making.small(tmp_path / "set", logits, temperature=3.0)


@pytest.mark.parametrize("name", ["a:b", "pipe:ls", "{0..3}", "with space", "a::b"])
def test_any_folder_name_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Other programs take some paths for addresses or commands."""
    monkeypatch.chdir(tmp_path)
    making.small(Path(name))
    assert torch.equal(DistilledSet.open(Path(name)).videos_NT3HW, videos()[:2])
