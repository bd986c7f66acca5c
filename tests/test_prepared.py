from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from idtd_cli import prepared
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.prepared import PreparedDocument, PreparedSet, Writer
from idtd_cli.recipe import ClipConfig, SplitConfig

CLIP = ClipConfig(frames=2, stored_frames=4, height=6, width=8)
CLIP_BYTES = 4 * 3 * 6 * 8
#: Videos of each split and class, in the order of the index.
COUNTS = {("train", 0): 3, ("train", 1): 2, ("val", 0): 1, ("test", 0): 2, ("test", 1): 1}


def draw(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (4, 3, 6, 8), dtype=np.uint8)


def write(folder: Path, shard_bytes: int = prepared.SHARD_BYTES) -> PreparedDocument:
    writer = Writer(folder, CLIP, shard_bytes)
    number = 0
    for (split, label), n in COUNTS.items():
        for i in range(n):
            name = f"{split}/c{label}, {i}\n.mp4"
            writer.add(draw(number), id=name, label=label, split=split, group=None, frames=9, first=1, last=7)
            number += 1
    writer.reject("b.mp4", "is empty")
    writer.reject("a.mp4", "holds no video")
    return writer.finish(
        source="set",
        source_kind="folder",
        classes=("run", "jump"),
        split=SplitConfig(),
        decoder="pyav",
        decoder_version="1",
        recipe_yaml="name: x\n",
        parents={"source": "s", "prepare": "p"},
    )


@pytest.mark.parametrize("shard_bytes", [1, CLIP_BYTES, 2 * CLIP_BYTES, 5 * CLIP_BYTES, 1 << 20])
def test_what_is_written_is_read(tmp_path: Path, shard_bytes: int) -> None:
    document = write(tmp_path / "p", shard_bytes)
    found = PreparedSet.open(tmp_path / "p")
    found.verify()
    assert found.document == document
    assert len(document.shards) == -(-9 // max(1, shard_bytes // CLIP_BYTES))
    assert document.counts == {
        "train": {"run": 3, "jump": 2},
        "val": {"run": 1, "jump": 0},
        "test": {"run": 2, "jump": 1},
    }
    assert document.bytes == 9 * CLIP_BYTES
    assert document.rejected == 2
    assert (tmp_path / "p" / "rejects.csv").read_text() == "path,reason\na.mp4,holds no video\nb.mp4,is empty\n"
    start = 0
    for split, labels in (("train", [0, 0, 0, 1, 1]), ("val", [0]), ("test", [0, 0, 1])):
        clips, found_labels = found.clips(split)
        assert found_labels.tolist() == labels
        assert found_labels.dtype.is_signed
        assert (clips.numpy() == np.stack([draw(start + i) for i in range(len(labels))])).all()
        start += len(labels)
    assert found.index[0].id == "train/c0, 0\n.mp4"
    assert (found.index[0].frames, found.index[0].first, found.index[0].last) == (9, 1, 7)


def test_normalisation_is_of_the_train_split_alone(tmp_path: Path) -> None:
    document = write(tmp_path / "p")
    train = np.stack([draw(i) for i in range(5)]) / 255
    assert document.mean == pytest.approx(train.mean((0, 1, 3, 4)), abs=1e-12)
    assert document.std == pytest.approx(train.std((0, 1, 3, 4)), abs=1e-12)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=40))
def test_moments_are_exact_whatever_the_order(values: list[int]) -> None:
    histogram = np.stack([np.bincount(values, minlength=256)] * 3)
    mean, std = prepared._moments(histogram)
    assert mean[0] == pytest.approx(np.mean(values) / 255, abs=1e-12)
    assert std[0] == pytest.approx(np.std(values) / 255, abs=1e-12)


def test_writing_twice_gives_the_same_bytes_and_no_machine_paths(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, 2 * CLIP_BYTES)
    files = [sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*")) for n in ("one", "two")]
    assert files[0] == files[1]
    for path in (path for path in files[0] if (tmp_path / "one" / path).is_file()):
        data = (tmp_path / "one" / path).read_bytes()
        assert data == (tmp_path / "two" / path).read_bytes()
        assert str(tmp_path).encode() not in data


def test_shards_are_ordinary_safetensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    write(tmp_path / "p", 4 * CLIP_BYTES)
    clips = load_file(tmp_path / "p" / "shards" / "clips-00000.safetensors")["clips"]
    assert (clips == np.stack([draw(i) for i in range(4)])).all()


def test_clips_must_come_in_order_and_in_shape(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "p", CLIP)
    facts = {"group": None, "frames": 9, "first": 0, "last": 8}
    writer.add(draw(0), id="b", label=1, split="train", **facts)  # type: ignore[arg-type]
    for id, label in (("a", 1), ("b", 1), ("c", 0)):
        with pytest.raises(ValueError, match="order of the index"):
            writer.add(draw(0), id=id, label=label, split="train", **facts)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a clip of this set"):
        writer.add(draw(0)[:2], id="c", label=1, split="train", **facts)  # type: ignore[arg-type]
    writer.close()


def test_an_unknown_split_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    write(tmp_path / "p")
    with pytest.raises(ValueError, match="the splits are"):
        PreparedSet.open(tmp_path / "p").clips("validation")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_damage_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    shard = folder / "shards" / "clips-00001.safetensors"
    for damage, message in (
        (lambda: shard.unlink(), r"clips-00001.safetensors is missing or cut off. Write it again with `idtd prepare"),
        (lambda: cut(shard), "is missing or cut off"),
        (lambda: (folder / "index.csv").unlink(), "index.csv cannot be read"),
        (lambda: cut(folder / "index.csv"), "index.csv is not the one that prepared.json describes"),
        (lambda: (folder / "prepared.json").unlink(), "is no finished prepared set"),
        (lambda: cut(folder / "prepared.json"), "prepared.json"),
    ):
        __import__("shutil").rmtree(folder, ignore_errors=True)
        write(folder, 4 * CLIP_BYTES)
        damage()
        if message == "prepared.json":
            (folder / "prepared.json").write_text("{")
        with pytest.raises(InputError, match=message):
            PreparedSet.open(folder)


def test_a_changed_shard_is_found(tmp_path: Path) -> None:
    write(tmp_path / "p")
    shard = tmp_path / "p" / "shards" / "clips-00000.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(IdtdError, match="has changed since it was written"):
        PreparedSet.open(tmp_path / "p").verify()
    data[:300] = b"\xff" * 300
    shard.write_bytes(data)
    with pytest.raises(InputError, match="is damaged"):
        PreparedSet.open(tmp_path / "p").clips("train")


def test_hostile_names_and_rows_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "p")
    document = json.loads((tmp_path / "p" / "prepared.json").read_text())
    index = (tmp_path / "p" / "index.csv").read_text()
    for name, text in (
        ("../../secret.safetensors", index.replace("clips-00000.safetensors", "../../secret.safetensors")),
        ("clips-00000.safetensors", index.replace(",8\n", ",9\n")),
        ("clips-00000.safetensors", index.replace(",1,test", ",7,test")),
        ("clips-00000.safetensors", index.replace(",test,", ",exam,")),
    ):
        document["shards"] = {name: "0"}
        document["index"] = prepared.storage.sha256_bytes(text.encode())
        (tmp_path / "p" / "index.csv").write_text(text)
        (tmp_path / "p" / "prepared.json").write_text(json.dumps(document))
        with pytest.raises(InputError, match="does not fit"):
            PreparedSet.open(tmp_path / "p")
