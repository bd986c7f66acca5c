from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import Recipe
from idtd_cli.runlog import Quiet
from idtd_cli.stages import prepare
from idtd_cli.video import encode
from tests.video.making import make, shared_data


class Heard:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.advanced = 0
        self.facts: dict[str, object] = {}
        self.total: int | None = None

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Heard]:
        self.total = total
        yield self

    def advance(self, n: int = 1, **facts: object) -> None:
        self.advanced += n
        self.facts = facts

    def note(self, text: str) -> None:
        self.notes.append(text)


def recipe(**changes: dict[str, Any]) -> Recipe:
    clip = {"frames": 4, "stored_frames": 8, "height": 16, "width": 16} | changes.pop("clip", {})
    decode = {"workers": 2} | changes.pop("decode", {})
    return Recipe.model_validate(
        {"name": "t", "prepare": {"clip": clip, "decode": decode, **changes}, "distill": {"idtd": {"segments": 4}}}
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two classes with four videos each, of a level of grey that names the video."""
    root = tmp_path / "films"
    for label, name in enumerate(("jump", "run")):
        (root / name).mkdir(parents=True)
        for i in range(4):
            frames = np.full((10, 20, 24, 3), 40 * label + 10 * i, np.uint8)
            encode.write_lossless(root / name / f"{i}.mp4", frames, 25)
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_source_becomes_a_prepared_set(source: Path, tmp_path: Path) -> None:
    heard = Heard()
    document = prepare.run(source, tmp_path / "out", recipe(), heard)
    found = PreparedSet.open(tmp_path / "out")
    found.verify(Quiet())
    assert found.document == document
    assert (document.source, document.source_kind, document.classes) == ("films", "folder", ("jump", "run"))
    assert document.counts == {split: {"jump": n, "run": n} for split, n in (("train", 2), ("val", 1), ("test", 1))}
    assert (heard.total, heard.advanced, heard.facts) == (8, 8, {"rejected": 0})
    for split in ("train", "val", "test"):
        clips, labels = found.clips(split)
        for row, clip, label in zip(found.rows(split), clips, labels, strict=True):
            assert (clip == 40 * int(label) + 10 * int(Path(row.id).stem)).all(), row.id
            assert (row.frames, row.first, row.last) == (10, 0, 9)
    assert (tmp_path / "out" / "recipe.yaml").read_text() == recipe(decode={"workers": 0}).to_yaml()
    assert not list(tmp_path.glob(".*"))


def test_preparing_twice_gives_the_same_bytes_whatever_the_workers(source: Path, tmp_path: Path) -> None:
    prepare.run(source, tmp_path / "one", recipe(), Heard())
    prepare.run(source, tmp_path / "two", recipe(decode={"workers": 1}), Heard())
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    prepare.run(source, tmp_path / "alone", recipe(decode={"workers": 1}), Heard())
    for name, data in contents(tmp_path / "alone").items():
        assert str(tmp_path).encode() not in data
        if name.startswith("shards") or name == "index.csv":
            assert data == contents(tmp_path / "one")[name]


def test_bad_videos_are_rejected_and_the_rest_goes_on(source: Path, tmp_path: Path) -> None:
    (source / "run" / "empty.mp4").touch()
    (source / "run" / "text.avi").write_text("hello")
    make(source / "jump" / "short.mp4", frames=3)
    heard = Heard()
    document = prepare.run(source, tmp_path / "out", recipe(split={"test": 0.5, "seed": 3}), heard)
    with open(tmp_path / "out" / "rejects.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["path", "jump/short.mp4", "run/empty.mp4", "run/text.avi"]
    assert rows[1][1] == "has 3 frames; the recipe asks for at least 8 (clip.min_frames)"
    assert rows[2][1] == "is empty"
    assert rows[3][1].startswith("is no video file")
    assert document.rejected == heard.facts["rejected"] == 3
    assert sum(sum(classes.values()) for classes in document.counts.values()) == 8


def test_a_second_run_has_nothing_to_do(source: Path, tmp_path: Path) -> None:
    first = prepare.run(source, tmp_path / "out", recipe(), Heard())
    before = contents(tmp_path / "out")
    heard = Heard()
    assert prepare.run(source, tmp_path / "out", recipe(), heard) == first
    assert heard.notes == [
        f"{tmp_path / 'out'} is already prepared from this source with these settings: nothing to do."
    ]
    assert heard.total is None
    assert contents(tmp_path / "out") == before


def test_another_set_is_not_overwritten(source: Path, tmp_path: Path) -> None:
    prepare.run(source, tmp_path / "out", recipe(), Heard())
    before = contents(tmp_path / "out")
    with pytest.raises(InputError, match="holds a prepared set made from other settings"):
        prepare.run(source, tmp_path / "out", recipe(clip={"height": 32}), Heard())
    (source / "run" / "0.mp4").unlink()
    with pytest.raises(InputError, match="made from another source, or its files changed"):
        prepare.run(source, tmp_path / "out", recipe(), Heard())
    assert contents(tmp_path / "out") == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(InputError, match="already holds something else"):
        prepare.run(source, tmp_path / "other", recipe(), Heard())
    with pytest.raises(InputError, match="already holds something else"):
        prepare.run(source, source, recipe(), Heard())


def test_a_class_that_loses_all_clips_of_a_split_ends_the_run(source: Path, tmp_path: Path) -> None:
    for name in ("jump", "run"):
        (source / name / "3.mp4").write_bytes(b"")
    (source / "train.txt").write_text("".join(f"{c}/{i}.mp4\n" for c in ("jump", "run") for i in (0, 1)))
    (source / "test.txt").write_text("jump/2.mp4\nrun/3.mp4\n")
    with pytest.raises(IdtdError, match=r"The class run has no test clip left: all 1 .* run/3.mp4, is empty") as raised:
        prepare.run(source, tmp_path / "out", recipe(), Heard())
    assert raised.value.exit_code == 1
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_source_that_goes_away_stops_the_run_and_is_gone_on_with(source: Path, tmp_path: Path) -> None:
    class Unplugging(Heard):
        def advance(self, n: int = 1, **facts: object) -> None:
            super().advance(n, **facts)
            if source.exists():
                source.rename(tmp_path / "unplugged")

    with pytest.raises(IdtdError, match=r"was there when films was listed, and is gone\. Bring it back"):
        prepare.run(source, tmp_path / "out", recipe(decode={"workers": 1}), Unplugging())
    (tmp_path / "unplugged").rename(source)
    assert prepare.run(source, tmp_path / "out", recipe(), Heard()).rejected == 0


def test_a_run_that_never_began_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # nothing listens there
    with pytest.raises(InputError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        prepare.run(source, tmp_path / "out", recipe(decode={"engine": "ray"}), Heard())
    assert not list(tmp_path.glob(".*"))


def test_one_class_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    (tmp_path / "films" / "run").mkdir(parents=True)
    (tmp_path / "films" / "run" / "1.mp4").touch()
    with pytest.raises(InputError, match="has one class, run"):
        prepare.run(tmp_path / "films", tmp_path / "out", recipe(), Heard())
    assert not (tmp_path / "out").exists()


_SLOW = """
import sys, time
from contextlib import contextmanager
from pathlib import Path
from idtd_cli.stages import prepare
from tests.stages.test_prepare import Heard, recipe

class Slow(Heard):
    def advance(self, n=1, **facts):
        print("one", flush=True)
        time.sleep(30)

if __name__ == "__main__":
    prepare.run(Path(sys.argv[1]), Path(sys.argv[2]), recipe(), Slow())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_is_gone_on_with(source: Path, tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "slow.py"
    script.write_text(textwrap.dedent(_SLOW))
    out = tmp_path / "out"
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, str(script), str(source), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "one\n"
    process.send_signal(how)
    process.communicate(timeout=20)
    assert not out.exists()
    heard = Heard()
    prepare.run(source, out, recipe(), heard)
    assert heard.notes[1:] == ["1 of them were decoded before: going on."]
    prepare.run(source, tmp_path / "undisturbed", recipe(), Heard())
    assert contents(out) == contents(tmp_path / "undisturbed")
    assert not list(tmp_path.glob(".*.partial"))


def test_real_videos(tmp_path: Path) -> None:
    root = shared_data("weizmann4")
    document = prepare.run(root, tmp_path / "out", recipe(clip={"height": 32, "width": 32}), Heard())
    assert document.classes == ("bend", "jack", "wave1", "wave2")
    assert document.rejected == 0
    assert document.counts["test"] == dict.fromkeys(document.classes, 6)
    assert all(document.counts["train"][c] + document.counts["val"][c] == 12 for c in document.classes)
    assert all(row.frames >= 51 for row in PreparedSet.open(tmp_path / "out").index)
