from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from idtd_cli import prepared, storage
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.prepared import PreparedDocument, PreparedSet, Writer
from idtd_cli.recipe import ClipConfig, SplitConfig
from idtd_cli.runlog import Quiet
from tests import tiny
from tests.tiny import contents

CLIP = ClipConfig(frames=2, stored_frames=4, height=6, width=8)
CLIP_BYTES = 4 * 3 * 6 * 8
#: Videos of each split and class, in the order of the index.
COUNTS = {("train", 0): 3, ("train", 1): 2, ("val", 0): 1, ("test", 0): 2, ("test", 1): 1}


def draw(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (4, 3, 6, 8), dtype=np.uint8)


def write(folder: Path, shard_bytes: int = prepared.SHARD_BYTES) -> PreparedDocument:
    numbers = count()
    clips = (
        (f"{split}/c{label}, {i}\n.mp4", label, split, draw(next(numbers)))
        for (split, label), n in COUNTS.items()
        for i in range(n)
    )
    rejected = [("b.mp4", "is empty"), ("a.mp4", "holds no video")]
    return tiny.write_clips(
        folder, CLIP, ("run", "jump"), clips, rejected=rejected, missing=["c.mp4"], shard_bytes=shard_bytes
    )


@pytest.mark.parametrize("shard_bytes", [1, CLIP_BYTES, 2 * CLIP_BYTES, 5 * CLIP_BYTES, 1 << 20])
def test_what_is_written_is_read(tmp_path: Path, shard_bytes: int) -> None:
    document = write(tmp_path / "p", shard_bytes)
    found = PreparedSet.open(tmp_path / "p")
    found.verify(Quiet())
    assert found.document == document
    assert len(document.shards) == -(-9 // max(1, shard_bytes // CLIP_BYTES))
    assert document.counts == {
        "train": {"run": 3, "jump": 2},
        "val": {"run": 1, "jump": 0},
        "test": {"run": 2, "jump": 1},
    }
    assert document.bytes == 9 * CLIP_BYTES
    assert (document.rejected, document.missing) == (2, 1)
    assert document.seconds == prepared.Spread(least=0.36, median=0.36, most=0.36, total=3.24)
    assert document.decoders == {"pyav": prepared.Decoder(version="1", clips=9)}
    assert (tmp_path / "p" / "rejects.csv").read_text() == (
        "path,reason\na.mp4,holds no video\nb.mp4,is empty\nc.mp4,is listed and not there\n"
    )
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
    with (
        storage.resumable_folder(tmp_path / "p") as unfinished,
        closing(Writer(unfinished, CLIP, {}, {"pyav": "1"})) as writer,
    ):
        writer.add(draw(0), id="b", label=1, split="train", **tiny.VIDEO)
        for id, label in (("a", 1), ("b", 1), ("c", 0)):
            with pytest.raises(ValueError, match="order of the index"):
                writer.add(draw(0), id=id, label=label, split="train", **tiny.VIDEO)
        with pytest.raises(ValueError, match="a clip of this set"):
            writer.add(draw(0)[:2], id="c", label=1, split="train", **tiny.VIDEO)


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
        (lambda: shard.unlink(), r"clips-00001.safetensors is missing or cut off. Remove .* and prepare it again"),
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
        PreparedSet.open(tmp_path / "p").verify(Quiet())
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


class DiedError(Exception):
    """Stands for the end of the process: whatever was written stays."""


def write_until(folder: Path, stop: int, shard_bytes: int) -> None:
    """Begin the set of `write`, and die before video number `stop`."""

    def clips() -> Iterator[tuple[str, int, str, NDArray[np.uint8]]]:
        numbers = count()
        for (split, label), n in COUNTS.items():
            for i in range(n):
                if (number := next(numbers)) == stop:
                    raise DiedError
                yield f"{split}/c{label}, {i}\n.mp4", label, split, draw(number)

    with pytest.raises(DiedError):
        tiny.write_clips(folder, CLIP, ("run", "jump"), clips(), shard_bytes=shard_bytes)


def go_on(folder: Path, shard_bytes: int) -> int:
    """Finish the set of `write`; returns how many videos were there already."""
    rejected = [("b.mp4", "is empty"), ("a.mp4", "holds no video")]
    parents = {"source": "s", "prepare": "p"}
    with (
        storage.resumable_folder(folder) as unfinished,
        closing(Writer(unfinished, CLIP, parents, {"pyav": "1", "decord": "2"}, shard_bytes)) as writer,
    ):
        there = len(writer.done)
        numbers = count()
        for (split, label), n in COUNTS.items():
            for i in range(n):
                if (number := next(numbers)) >= there:
                    id = f"{split}/c{label}, {i}\n.mp4"
                    writer.add(draw(number), id=id, label=label, split=split, **tiny.VIDEO)
        for id, reason in rejected[max(0, there - 9) :]:
            writer.reject(id, reason)
        writer.finish(
            source="bars", source_kind="folder", classes=("run", "jump"), split=SplitConfig(), limit=0,
            recipe_yaml="name: x\n", missing=["c.mp4"],
        )  # fmt: skip
    return there


@pytest.mark.parametrize("shard_clips", [1, 2, 4, 100])
@pytest.mark.parametrize("stop", range(1, 9))
def test_a_set_that_was_begun_is_gone_on_with(tmp_path: Path, stop: int, shard_clips: int) -> None:
    write(tmp_path / "whole", shard_clips * CLIP_BYTES)
    write_until(tmp_path / "set", stop, shard_clips * CLIP_BYTES)
    assert go_on(tmp_path / "set", shard_clips * CLIP_BYTES) == stop  # nothing is done twice
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set", "whole"]


@given(st.integers(1, 8), st.integers(1, 5), st.integers(0, 900), st.integers(0, 2 * CLIP_BYTES), st.booleans())
@settings(max_examples=60, deadline=None)
def test_whatever_a_crash_left_of_the_last_videos(stop: int, clips: int, lines: int, bytes: int, garbage: bool) -> None:
    """The journal loses its end, the newest shard loses its end or has noise there: the set comes out the same."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "whole", clips * CLIP_BYTES)
        write_until(folder / "set", stop, clips * CLIP_BYTES)
        journal = folder / ".set.partial" / "journal.jsonl"
        os.truncate(journal, max(0, journal.stat().st_size - lines))
        open_shards = [s for s in sorted((folder / ".set.partial/folder/shards").iterdir()) if not closed(journal, s)]
        for shard in open_shards[-1:]:
            os.truncate(shard, max(0, shard.stat().st_size - bytes))
            if garbage:
                shard.write_bytes(shard.read_bytes() + b"\xff" * bytes)
        assert go_on(folder / "set", clips * CLIP_BYTES) <= stop
        assert contents(folder / "set") == contents(folder / "whole")


def closed(journal: Path, shard: Path) -> bool:
    return f'"closed": "{shard.name}"' in journal.read_text()


def test_a_set_begun_with_other_settings_is_left_alone(tmp_path: Path) -> None:
    write_until(tmp_path / "set", 3, 1 << 20)
    before = contents(tmp_path)
    parents, versions = {"source": "s", "prepare": "p"}, {"pyav": "1", "decord": "2"}
    for other, changed in ((parents | {"prepare": "other"}, versions), (parents, versions | {"pyav": "2"})):
        with (
            pytest.raises(InputError, match="unfinished set from another source, or with other settings or versions"),
            storage.resumable_folder(tmp_path / "set") as unfinished,
        ):
            Writer(unfinished, CLIP, other, changed)
        assert contents(tmp_path) == before


@pytest.mark.parametrize("damage", ["no shard", "cut shard", "no begun", "no crc"])
def test_an_unfinished_set_that_is_damaged_is_refused(tmp_path: Path, damage: str) -> None:
    write_until(tmp_path / "set", 5, 2 * CLIP_BYTES)
    shards, journal = tmp_path / ".set.partial/folder/shards", tmp_path / ".set.partial/journal.jsonl"
    if damage == "no shard":
        (shards / "clips-00000.safetensors").unlink()
    elif damage == "cut shard":
        cut(shards / "clips-00000.safetensors")
    else:
        journal.write_text(journal.read_text().replace(damage.removeprefix("no "), "other"))
    with pytest.raises(InputError, match=r"\.set\.partial (is damaged|holds an unfinished set)"):
        go_on(tmp_path / "set", 2 * CLIP_BYTES)


def test_a_shard_that_holds_nothing_is_not_kept(tmp_path: Path) -> None:
    """Killed between the opening of a shard and its first clip, when only rejects follow."""
    write_until(tmp_path / "set", 2, 2 * CLIP_BYTES)
    (tmp_path / ".set.partial/folder/shards/clips-00001.safetensors").write_bytes(bytes(300))
    with (
        storage.resumable_folder(tmp_path / "set") as unfinished,
        closing(
            Writer(unfinished, CLIP, {"source": "s", "prepare": "p"}, {"pyav": "1", "decord": "2"}, 2 * CLIP_BYTES)
        ) as writer,
    ):
        writer.reject("z", "is empty, \udce9")
        document = writer.finish(
            source="bars", source_kind="folder", classes=("run", "jump"), split=SplitConfig(), limit=0, recipe_yaml=""
        )
    assert list(document.shards) == ["clips-00000.safetensors"]
    assert "is empty, \\udce9" in (tmp_path / "set" / "rejects.csv").read_text()


@pytest.mark.parametrize("damage", ["gone", "cut off"])
def test_a_shard_that_is_lost_after_opening_is_named(tmp_path: Path, damage: str) -> None:
    write(tmp_path / "p", 2 * CLIP_BYTES)
    found = PreparedSet.open(tmp_path / "p")
    shard = tmp_path / "p" / "shards" / found.index[3].shard
    shard.unlink() if damage == "gone" else cut(shard)
    assert (found.read(found.index[:2]).numpy() == np.stack([draw(i) for i in range(2)])).all()
    with pytest.raises(IdtdError) as raised:
        found.read(found.index[2:4])
    assert str(shard) in raised.value.message
    assert ("can no longer be read" if damage == "gone" else "is damaged") in raised.value.message
    assert raised.value.hint


def test_reading_takes_the_clips_that_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "p", 2 * CLIP_BYTES)
    found = PreparedSet.open(tmp_path / "p")
    chosen = [found.index[i] for i in (7, 0, 0, 3)]
    assert (found.read(chosen).numpy() == np.stack([draw(i) for i in (7, 0, 0, 3)])).all()
    assert found.read([]).shape == (0, 4, 3, 6, 8)
