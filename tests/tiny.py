"""A prepared set of a few drawn clips and a recipe that runs in a second, for tests of everything behind `prepare`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from torch import Tensor

from idtd_cli import storage
from idtd_cli.prepared import CHECK, SHARD_BYTES, PreparedDocument, PreparedSet, Row, Writer
from idtd_cli.recipe import ClipConfig, ExportConfig, Recipe, SplitConfig
from idtd_cli.run_folder import SPEED
from idtd_cli.runlog import Quiet

CLASSES = ("left", "right", "rest")
#: Clips of each class in each split.
COUNTS = {"train": 5, "val": 2, "test": 4}
STEPS = 6


def settings(**changes: Any) -> dict[str, Any]:
    """The tiny recipe as plain keys and values; changes come as `distill__ipc=2`."""
    network = {"widths": [4, 8], "kernel": [3, 3, 3], "strides": [1, 1], "norm": "group", "dropout": 0.0}
    content: dict[str, Any] = {
        "name": "tiny",
        "prepare": {"clip": {"frames": 4, "stored_frames": 8, "height": 16, "width": 16, "min_frames": 4}},
        "experts": {"count": 2, "every": 2, "fit": {"steps": STEPS, "batch": 4}},
        # Steps small enough that the videos stay inside of 0..255: bytes that are all 0 or 255 would compare equal.
        "distill": {
            "ipc": 1,
            "steps": STEPS,
            "batch_real": 4,
            "checkpoint_every": 2,
            "network": network,
            "dc": {"turns": 3},
            "frepo": {"networks": 2, "turns": 3, "ridge": 0.01},
            "idtd": {
                "segments": 2,
                "pool": {"entries_per_selector": 2, "step_size": 0.2},
                "selectors": {"step_size": 0.001},
                "fusor": {"channels": 4, "step_size": 0.0001},
            },
            "pixel": {"step_size": 0.5},
            "coreset": {"fit": {"steps": STEPS, "batch": 4}},
            "mtt": {"student_steps": 3, "batch": 4, "expert_snapshots": 1, "latest_start": 2},
        },
        "evaluate": {
            "students": 2,
            "full_students": 1,
            "student": network | {"dropout": 0.5},
            "fit": {"steps": 4, "batch": 4},
        },
    }
    for key, value in changes.items():
        *sections, last = key.split("__")
        inner = content
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = value
    return content


def recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate(settings(**changes))


def draw_clip(label: int, number: int, frames: int = 8, size: int = 16) -> NDArray[np.uint8]:
    """(F, 3, H, W): a bright bar on noise that goes left, goes right, or stays."""
    rng = np.random.default_rng([label, number])
    clip = rng.integers(0, 60, (frames, 3, size, size), dtype=np.uint8)
    start, step = int(rng.integers(size)), (-1, 1, 0)[label]
    for frame in range(frames):
        clip[frame, :, :, [(start + frame * step + i) % size for i in range(4)]] += 180
    return clip


#: What a writer is told of a video beside its clip, where a test does not care.
VIDEO: dict[str, Any] = {
    "group": None, "frames": 9, "first": 1, "last": 7, "seconds": 0.36, "width": 24, "height": 20, "decoder": "pyav"
}  # fmt: skip


def write_clips(
    folder: Path,
    clip: ClipConfig,
    classes: tuple[str, ...],
    clips: Iterable[tuple[str, int, str, NDArray[np.uint8]]],
    *,
    rejected: Sequence[tuple[str, str]] = (),
    missing: Sequence[str] = (),
    shard_bytes: int = SHARD_BYTES,
    recipe_yaml: str = "name: x\n",
) -> PreparedDocument:
    """A prepared set of these clips (id, label, split, pixels), through the writer that `idtd prepare` uses."""
    parents = {"source": "s", "prepare": "p"}
    with (
        storage.resumable_folder(folder) as unfinished,
        closing(Writer(unfinished, clip, parents, {"pyav": "1", "decord": "2"}, shard_bytes)) as writer,
    ):
        for id, label, split, clip_F3HW in clips:
            writer.add(clip_F3HW, id=id, label=label, split=split, **VIDEO)
        for id, reason in rejected:
            writer.reject(id, reason)
        return writer.finish(
            source="bars",
            source_kind="folder",
            classes=classes,
            split=SplitConfig(),
            limit=0,
            recipe_yaml=recipe_yaml,
            missing=missing,
        )


def write_prepared(folder: Path, content: Recipe | None = None, counts: dict[str, int] | None = None) -> Path:
    """A prepared set of bars that stand or move."""
    content = content or recipe()
    clip = content.prepare.clip
    numbers = count()
    clips = (
        (f"{name}/{number:04d}.mp4", label, split, draw_clip(label, number, clip.stored_frames, clip.height))
        for split, clips_a_class in (counts or COUNTS).items()
        for label, name in enumerate(CLASSES)
        for number in islice(numbers, clips_a_class)
    )
    write_clips(folder, clip, CLASSES, clips, recipe_yaml=content.to_yaml())
    return folder


def draw_videos(out: Path) -> Path:
    from idtd_cli.stages import demo_data

    demo_data.run(out, classes=3, train=4, test=2, size=32, frames=12, progress=Quiet())
    return out


def write_recipe(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump(settings(**changes)))
    return path


def distil(prepared: Path, out: Path, content: Recipe | None = None, **options: Any) -> Path:
    from idtd_cli.stages import distill

    given: dict[str, Any] = {"device": "cpu", "resume": False, "progress": Quiet()} | options
    distill.run(prepared, out, content or recipe(), **given)
    return out


def experts(prepared: Path, out: Path, content: Recipe | None = None, **options: Any) -> Path:
    from idtd_cli.stages import experts

    given: dict[str, Any] = {"device": "cpu", "progress": Quiet()} | options
    experts.run(prepared, out, content or recipe(), **given)
    return out


def export(run: Path, out: Path, **config: Any) -> Path:
    from idtd_cli.stages import export

    export.run(run, out, ExportConfig(**config), Quiet())
    return out


def evaluate(
    sets: Sequence[str | Path], prepared: Path, out: Path, content: Recipe | None = None, **options: Any
) -> Path:
    from idtd_cli.stages import evaluate

    given: dict[str, Any] = {"device": "cpu", "progress": Quiet()} | options
    evaluate.run(sets, prepared, out, content or recipe(), **given)
    return out


def splits_opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The splits whose clips are read from here on, in order; the list grows as they are."""
    opened: list[str] = []
    read = PreparedSet.read

    def recorded(self: PreparedSet, rows: Sequence[Row], pinned: bool = False) -> Tensor:
        opened.extend(sorted({row.split for row in rows}))
        return read(self, rows, pinned)

    monkeypatch.setattr(PreparedSet, "read", recorded)
    return opened


class Heard:
    """A progress that remembers what it was told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.advanced = 0

    @contextmanager
    def stage(self, name: str, total: int | None, done: int = 0) -> Iterator[Heard | Quiet]:
        """Looking at what was given is no progress."""
        if name == CHECK:
            yield Quiet()
            return
        self.advanced += done
        yield self

    def advance(self, n: int = 1, **facts: object) -> None:
        self.advanced += n

    def note(self, text: str) -> None:
        self.notes.append(text)


class Impatient(Heard):
    """A progress on which somebody presses Ctrl-C once `after` units are done."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def advance(self, n: int = 1, **facts: object) -> None:
        super().advance(n, **facts)
        if self.advanced >= self.after:
            raise KeyboardInterrupt


def contents(folder: Path) -> dict[str, str]:
    """Digest of every file under a folder, hidden ones too; empty folders show as themselves.

    Left out is how fast a run was: it is the one file of a run that no seed decides.
    """
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.name != SPEED):
        name = path.relative_to(folder).as_posix()
        found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found
