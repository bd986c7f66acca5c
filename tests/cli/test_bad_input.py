"""Whatever is wrong is said in one sentence with a hint, under the right exit code, and nothing half-written stays."""

from __future__ import annotations

import csv
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from idtd_cli.prepared import PreparedSet
from idtd_cli.run_folder import RESULT
from idtd_cli.video import encode
from tests import tiny
from tests.cli.running import Done
from tests.tiny import Impatient, contents, write_recipe

Idtd = Callable[..., Done]


@dataclass(frozen=True)
class World:
    """What a user has, and a folder of his own to go wrong in."""

    mine: Path
    videos: Path
    prepared: Path
    finished: Path
    exported: Path
    reported: Path

    @property
    def out(self) -> Path:
        """A new folder."""
        return self.mine / "out"

    @property
    def missing(self) -> Path:
        return self.mine / "missing"

    @property
    def empty(self) -> Path:
        (self.mine / "empty").mkdir(exist_ok=True)
        return self.mine / "empty"

    @property
    def taken(self) -> Path:
        """A folder that holds something else."""
        (self.mine / "taken").mkdir(exist_ok=True)
        (self.mine / "taken" / "thesis.tex").write_text("years of work")
        return self.mine / "taken"

    @property
    def file(self) -> Path:
        (self.mine / "file").write_text("years of work")
        return self.mine / "file"

    @property
    def unfinished(self) -> Path:
        run = self.mine / "unfinished"
        with pytest.raises(KeyboardInterrupt):
            tiny.distil(self.prepared, run, progress=Impatient(2))
        return run

    def recipe(self, **changes: object) -> Path:
        return write_recipe(self.mine / "recipe.yaml", **changes)


@pytest.fixture
def world(tmp_path: Path, videos: Path, prepared: Path, finished: Path, exported: Path, reported: Path) -> World:
    return World(tmp_path, videos, prepared, finished, exported, reported)


def refused(idtd: Idtd, world: World, *arguments: object) -> str:
    """The one line of a command that refused its input and touched nothing."""
    before = contents(world.mine)
    done = idtd(*arguments)
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.startswith("idtd: ")
    assert done.err.count("\n") == 1
    assert done.err.rstrip().endswith((".", "/"))
    assert contents(world.mine) == before
    return done.err


Arguments = Callable[[World], list[object]]

_REFUSED: list[tuple[str, Arguments, str]] = [
    # A source that is none.
    ("prepare", lambda w: [w.missing, w.out], "There is no"),
    ("prepare", lambda w: [w.empty, w.out], "holds no videos"),
    ("prepare", lambda w: [w.taken, w.out], "holds no videos"),
    ("prepare", lambda w: [w.file, w.out], "is no source of videos"),
    ("prepare", lambda w: [w.videos / "slide_left", w.out], "has videos but no classes"),
    ("reproduce", lambda w: [w.recipe(), w.out, "--source", w.missing], "There is no"),
    ("reproduce", lambda w: [w.recipe(), w.out, "--source", w.empty], "holds no videos"),
    # A recipe that is none, or that does not fit.
    ("prepare", lambda w: [w.videos, w.out, "--recipe", "demmo"], "There is no recipe demmo"),
    ("prepare", lambda w: [w.videos, w.out, "--recipe", w.mine / "no.yaml"], "There is no recipe"),
    ("reproduce", lambda w: ["demmo", w.out], "There is no recipe demmo"),
    ("distill", lambda w: [w.prepared, w.out, "--recipe", w.file], "There is no recipe"),
    ("distill", lambda w: [w.prepared, w.out, "--set", "distill.ipc"], "is not of the form a.b=value"),
    ("distill", lambda w: [w.prepared, w.out, "--recipe", "demo"], "prepare.clip differs"),
    ("distill", lambda w: [w.prepared, w.out, "--set", "distill.ipc=6"], "Class left has 5 training clips"),
    ("distill", lambda w: [w.finished.parents[1] / "prepared", w.finished, "--set", "distill.steps=9"],
     "made by another recipe (distill.steps: 6, now 9)"),
    ("distill", lambda w: [w.prepared, w.finished, "--seed", "3", "--resume"],
     "made by another recipe (distill.seed: 0, now 3)"),
    ("distill", lambda w: [w.prepared, w.unfinished], "holds an unfinished run. Add --resume"),
    ("evaluate", lambda w: [w.exported, "--on", w.prepared, "--out", w.reported, "--seeds", "1"],
     "holds another evaluation"),
    ("evaluate", lambda w: [w.exported, "--on", w.prepared, "--out", w.out, "--protocol", "ours"],
     "There is no protocol ours. There are idtd, peer-miniucf."),
    ("evaluate", lambda w: [f"import:{w.file}", "--on", w.prepared, "--out", w.out], "is no file of torch.save"),
    ("evaluate", lambda w: ["import:no.pt", "--on", w.prepared, "--out", w.out], "There is no no.pt"),
    ("evaluate", lambda w: [f"prepared:{w.missing}", "--on", w.prepared, "--out", w.out], "is not a folder"),
    # Options that mean nothing in this use of a command.
    ("reproduce", lambda w: [w.recipe(), w.out, "--source", w.videos, "--endpoint", "http://x"],
     "--endpoint means nothing here: without --from, nothing is taken from the Hub. Leave it out."),
    ("reproduce", lambda w: [w.recipe(), w.out, "--source", w.videos, "--max-gb", "20"], "--max-gb means nothing here"),
    ("reproduce", lambda w: [w.out, "--from", "a/b", "--only", "ipc=1"],
     "--only means nothing here: it chooses cells of a grid"),
    ("reproduce", lambda w: [w.recipe(), w.out, "--source", w.videos, "--only", "ipc=1"], "tiny has none"),
    ("prepare", lambda w: [w.videos, w.out, "--accept-licence"], "--accept-licence means nothing here"),
    ("verify", lambda w: [w.exported, "--endpoint", "http://x"],
     "--endpoint means nothing here: the set is a folder on this machine."),
    ("verify", lambda w: [w.exported, "--max-gb", "20"], "--max-gb means nothing here"),
    ("distill", lambda w: [w.prepared, w.out, "--set", "distill.method=random", "--tensorboard"],
     "--tensorboard shows figures of steps, and random clips take none."),
    # An input folder that is something else.
    ("distill", lambda w: [w.missing, w.out], "is not a folder. Make one with `idtd prepare SOURCE OUT`"),
    ("distill", lambda w: [w.file, w.out], "is not a folder"),
    ("distill", lambda w: [w.empty, w.out], "is no finished prepared set: it has no prepared.json"),
    ("distill", lambda w: [w.finished, w.out], "is no finished prepared set"),
    ("distill", lambda w: [w.videos, w.out], "is no finished prepared set"),
    ("export", lambda w: [w.missing, w.out], "is not a folder. Make one with `idtd distill PREPARED RUN`"),
    ("export", lambda w: [w.prepared, w.out], "is no finished run: it has no run.json"),
    ("export", lambda w: [w.unfinished, w.out], "is not finished. Go on with `idtd distill PREPARED RUN --resume`"),
    ("evaluate", lambda w: [w.missing, "--on", w.prepared, "--out", w.out], "Make one with `idtd export RUN OUT`"),
    ("evaluate", lambda w: [w.finished, "--on", w.prepared, "--out", w.out], "is no finished distilled set"),
    ("evaluate", lambda w: [w.exported, w.finished, "--on", w.prepared, "--out", w.out], "no finished distilled set"),
    ("evaluate", lambda w: [w.exported, "--on", w.exported, "--out", w.out], "is no finished prepared set"),
    ("evaluate", lambda w: [w.exported, "--on", w.missing, "--out", w.out], "is not a folder"),
    ("show", lambda w: [w.missing], "There is no"),
    ("show", lambda w: [w.taken], "is nothing that idtd can describe"),
    ("show", lambda w: [w.finished, "--redundancy"], "is no finished prepared set"),
    ("show", lambda w: [w.prepared, "--plot", w.mine / "plot.png"], "Add --redundancy"),
    ("show", lambda w: [w.prepared, "--redundancy", "--plot", w.mine / "plot.svg"], "is no name for a picture"),
    ("show", lambda w: [w.prepared, "--sheet", w.missing / "sheet.png"], "there is no folder"),
    # An output folder that holds something else, is a file, or lies under one.
    ("demo-data", lambda w: [w.taken], "already holds something else"),
    ("prepare", lambda w: [w.videos, w.taken], "already holds something else"),
    ("prepare", lambda w: [w.videos, w.finished], "already holds something else"),
    ("distill", lambda w: [w.prepared, w.taken], "is no finished run"),
    ("distill", lambda w: [w.prepared, w.exported], "is no finished run"),
    ("export", lambda w: [w.finished, w.taken], "already holds something else"),
    ("export", lambda w: [w.finished, w.prepared], "already holds something else"),
    ("evaluate", lambda w: [w.exported, "--on", w.prepared, "--out", w.taken], "already holds something else"),
    ("evaluate", lambda w: [w.exported, "--on", w.prepared, "--out", w.prepared], "already holds something else"),
    ("reproduce", lambda w: [w.recipe(), w.taken, "--source", w.videos], "already holds something else"),
    ("demo-data", lambda w: [w.file], "already holds something else"),
    ("prepare", lambda w: [w.videos, w.file], "already holds something else"),
    ("distill", lambda w: [w.prepared, w.file], "is not a folder"),
    ("export", lambda w: [w.finished, w.file], "already holds something else"),
    ("evaluate", lambda w: [w.exported, "--on", w.prepared, "--out", w.file], "already holds something else"),
    ("reproduce", lambda w: [w.recipe(), w.file, "--source", w.videos], "already holds something else"),
    ("demo-data", lambda w: [w.file / "out"], "a part of its path is a file"),
    ("prepare", lambda w: [w.videos, w.file / "out"], "a part of its path is a file"),
    ("distill", lambda w: [w.prepared, w.file / "out"], "a part of its path is a file"),
    ("export", lambda w: [w.finished, w.file / "out"], "a part of its path is a file"),
    ("evaluate", lambda w: [w.exported, "--on", w.prepared, "--out", w.file / "out"], "a part of its path is a file"),
    ("reproduce", lambda w: [w.recipe(), w.file / "out", "--source", w.videos], "a part of its path is a file"),
    # Numbers out of range.
    ("demo-data", lambda w: [w.out, "--classes", "1"], "--classes 1 must be from 2 to 12"),
    ("demo-data", lambda w: [w.out, "--size", "17"], "--size 17 must be even"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    _REFUSED,
    ids=[f"{command}-{number}" for number, (command, _, _) in enumerate(_REFUSED)],
)
def test_wrong_input_is_refused(idtd: Idtd, world: World, command: str, arguments: Arguments, words: str) -> None:
    given = arguments(world)
    assert words in refused(idtd, world, command, *given)


def test_no_cuda(idtd: Idtd, world: World) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert "torch finds no CUDA device" in refused(
        idtd, world, "distill", world.prepared, world.out, "--device", "cuda"
    )


@pytest.mark.parametrize(
    "command",
    [
        ("prepare", "videos", "out", "--recipe"),
        ("distill", "prepared", "out", "--recipe"),
        ("evaluate", "exported", "--on", "prepared", "--out", "out", "--recipe"),
        ("reproduce",),
    ],
)
def test_all_that_is_wrong_in_a_recipe_is_said_at_once(idtd: Idtd, world: World, command: tuple[str, ...]) -> None:
    path = world.recipe(distill__icp=3, distill__steps="many", evaluate__fit__batch=0)
    arguments: list[object] = [getattr(world, word, word) for word in command]
    arguments += [path, world.out] if command == ("reproduce",) else [path, "--set", "prepare.clip.frames=-1"]
    before = contents(world.mine)
    done = idtd(*arguments)
    assert (done.code, done.out) == (2, "")
    head, *lines = done.err.strip().splitlines()
    counted = "has 3 errors" if command == ("reproduce",) else "with --set prepare.clip.frames=-1 has 4 errors"
    assert head == f"idtd: {path} {counted}:"
    for words in ("distill.icp: unknown key; did you mean ipc?", "distill.steps: ", "evaluate.fit.batch: "):
        assert sum(words in line for line in lines) == 1
    assert "Traceback" not in done.err
    assert contents(world.mine) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["destill"],
        ["--colour"],
        ["prepare"],
        ["prepare", "x"],
        ["prepare", "x", "y", "z"],
        ["distill", "x", "y", "--ressume"],
        ["distill", "x", "y", "--seed", "one"],
        ["distill", "x", "y", "--device", "tpu"],
        ["distill", "x", "y", "--set"],
        ["evaluate", "x"],
        ["evaluate", "--on", "x", "--out", "y"],
        ["demo-data", "x", "--classes", "many"],
        ["export", "x", "y", "--shard-size", "0"],
        ["export", "x", "y", "--payload", "pickle"],
        ["export", "x", "y", "--also", "tfrecord"],
        ["show"],
    ],
)
def test_wrong_flags(idtd: Idtd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    done = idtd(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith("Error: ")
    assert done.err.count("Error: ") == 1
    assert "Traceback" not in done.err
    assert contents(tmp_path) == {}


def test_wrong_numbers_given_as_flags(idtd: Idtd, world: World) -> None:
    evaluate = ["evaluate", world.exported, "--on", world.prepared, "--out", world.out]
    for arguments, words in (
        (["distill", world.prepared, world.out, "--seed", "-1"], "distill.seed: "),
        ([*evaluate, "--seeds", "0"], "evaluate.students: "),
        ([*evaluate, "--students", "vit"], "evaluate.across.0: "),
        ([*evaluate, "--students", "convnet3d"], "names an architecture twice"),
    ):
        before = contents(world.mine)
        done = idtd(*arguments)
        assert (done.code, done.out) == (2, "")
        assert words in done.err
        assert contents(world.mine) == before


def film(path: Path, frames: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(frames).integers(0, 256, (frames, 16, 16, 3), dtype=np.uint8)
    encode.write_h264(path, noise, 8, crf=20)
    return path


@pytest.fixture
def films(world: World) -> Path:
    """A source of one's own: two classes of five videos."""
    root = world.mine / "films"
    for name in ("jump", "run"):
        for number in range(5):
            film(root / name / f"{number}.mp4", 8 + number)
    return root


def test_short_clips_and_broken_files_are_listed(idtd: Idtd, world: World, films: Path) -> None:
    film(films / "jump" / "short.mp4", 3)
    (films / "jump" / "text.mp4").write_text("not a video")
    (films / "run" / "empty.mp4").touch()
    whole = (films / "run" / "4.mp4").read_bytes()
    (films / "run" / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    done = idtd("prepare", films, world.out, "--recipe", world.recipe())
    assert done.code == 0
    assert "2 classes" in done.out
    assert "4 rejected" in done.out
    assert str(world.out / "rejects.csv") in done.out
    with open(world.out / "rejects.csv", newline="") as file:
        rejects = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert set(rejects) == {"jump/short.mp4", "jump/text.mp4", "run/empty.mp4", "run/cut.mp4"}
    assert rejects["jump/short.mp4"] == "has 3 frames; the recipe asks for at least 4 (clip.min_frames)"
    assert {row.id for row in PreparedSet.open(world.out).index} == {
        f"{name}/{number}.mp4" for name in ("jump", "run") for number in range(5)
    }


def test_a_class_of_broken_files_fails_the_run(idtd: Idtd, world: World, films: Path) -> None:
    for path in (films / "run").iterdir():
        path.write_text("not a video")
    recipe = world.recipe()
    before = contents(world.mine)
    done = idtd("prepare", films, world.out, "--recipe", recipe)
    assert (done.code, done.out) == (1, "")
    said = done.err.splitlines()[-1]
    assert said.startswith("idtd: The class run has no test clip left: all")
    assert "is no video file" in said
    assert "Traceback" not in done.err
    assert contents(world.mine) == before


def test_fewer_clips_than_videos_asked_for_all_the_way(idtd: Idtd, world: World, films: Path) -> None:
    assert idtd("prepare", films, world.out, "--recipe", world.recipe()).code == 0
    left = PreparedSet.open(world.out).document.counts["train"]["jump"]
    run = world.mine / "run"
    words = refused(idtd, world, "distill", world.out, run, "--set", f"distill.ipc={left + 1}")
    assert f"Class jump has {left} training clips; distill.ipc asks for {left + 1}" in words


_WRITERS: list[Arguments] = [
    lambda w: ["demo-data", w.out, "--classes", 2, "--train", 2, "--test", 1, "--size", 16, "--frames", 8],
    lambda w: ["prepare", w.videos, w.out, "--recipe", w.recipe()],
    lambda w: ["distill", w.prepared, w.out],
    lambda w: ["export", w.finished, w.out],
    lambda w: ["evaluate", w.exported, "--on", w.prepared, "--out", w.out],
    lambda w: ["reproduce", w.recipe(), w.out, "--source", w.videos],
]
_NAMES = ("demo-data", "prepare", "distill", "export", "evaluate", "reproduce")


@pytest.mark.parametrize("arguments", _WRITERS, ids=_NAMES)
def test_a_full_disk(idtd: Idtd, world: World, monkeypatch: pytest.MonkeyPatch, arguments: Arguments) -> None:
    given = arguments(world)
    before = visible(world.mine)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    # A file that is flushed is when a file system that counts late says so.
    monkeypatch.setattr(os, "fsync", full)
    if given[0] == "export":  # which flushes nothing before its last file
        monkeypatch.setattr(Path, "write_bytes", lambda *_: full(0))
    done = idtd(*given)
    assert (done.code, done.out) == (1, "")
    said = done.err.splitlines()[-1]
    assert said.startswith("idtd: ")
    assert "The disk is full" in said or "No space left on device" in said
    assert "Traceback" not in done.err
    assert visible(world.mine) == before
    monkeypatch.undo()
    assert idtd(*given).code == 0
    assert not any(world.mine.rglob("*.partial"))


def visible(folder: Path) -> dict[str, str]:
    """What a failed command leaves, but for empty folders and what prepare goes on from."""
    for path in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
        if path.name.endswith(".partial"):
            assert (path / "journal.jsonl").is_file()
    kept = {name: digest for name, digest in contents(folder).items() if ".partial" not in name}
    return {name: digest for name, digest in kept.items() if digest != "folder"}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size` bytes: a real write fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("arguments", _WRITERS, ids=_NAMES)
def test_a_write_that_fails_in_its_middle(idtd: Idtd, world: World, arguments: Arguments) -> None:
    given = arguments(world)
    before = visible(world.mine)
    with largest_file(700):
        done = idtd(*given)
    assert (done.code, done.out) == (1, "")
    said = done.err.splitlines()[-1]
    assert said.startswith("idtd: ")
    assert "Traceback" not in done.err
    assert "did not foresee" not in said
    # Students that were scored stay scored.
    assert {name: digest for name, digest in visible(world.mine).items() if name != "out/scores.jsonl"} == before
    done = idtd(*given)
    assert done.code == 0, done.err
    assert not any(world.mine.rglob("*.partial"))


def test_a_disk_that_is_full_on_the_way_costs_only_the_steps_since_the_last_checkpoint(
    idtd: Idtd, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, writes = os.fsync, 0

    def full_later(file: int) -> None:
        nonlocal writes
        writes += 1
        if writes > 5:  # the recipe, the document, two empty files of figures, and one checkpoint
            raise OSError(28, "No space left on device")
        fsync(file)

    monkeypatch.setattr(os, "fsync", full_later)
    done = idtd("distill", world.prepared, world.out)
    assert done.code == 1
    assert "The disk is full" in done.err
    assert [path.name for path in (world.out / "checkpoints").iterdir()] == ["step-000002.safetensors"]
    monkeypatch.undo()
    assert idtd("distill", world.prepared, world.out, "--resume").code == 0
    assert (world.out / RESULT).read_bytes() == (world.finished / RESULT).read_bytes()
