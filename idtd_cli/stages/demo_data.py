"""`idtd demo-data`: a labelled set of made-up videos, to try everything with."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from idtd_cli import documents, provenance, storage
from idtd_cli.demo import defaults
from idtd_cli.demo.motions import MOTIONS, draw_clip
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.video import encode

if TYPE_CHECKING:
    from idtd_cli.runlog import Progress

#: A clip to draw: split, label, number.
_Clip = tuple[str, int, int]
_SPLITS = ("train", "test")
_FPS = 16


class DemoDocument(documents.Document):
    """demo.json: the arguments that a demo set was drawn with."""

    KIND: ClassVar[str] = "demo set"
    FILE: ClassVar[str] = "demo.json"
    COMMAND: ClassVar[str] = "idtd demo-data OUT"

    classes: int
    train: int  #: videos a class
    test: int
    size: int  #: pixels
    frames: int
    seed: int


def run(
    out: Path,
    *,
    classes: int = defaults.CLASSES,
    train: int = defaults.TRAIN,
    test: int = defaults.TEST,
    size: int = defaults.SIZE,
    frames: int = defaults.FRAMES,
    seed: int = defaults.SEED,
    progress: Progress,
) -> DemoDocument:
    """Draw a demo set: `out`/<motion>/<split>_<number>.mp4 with train.txt, test.txt and classes.txt.

    Each clip depends on the seed, its split, class and number alone. A set that is already there, from the same
    arguments, is left as it is.

    Raises:
        InputError: an argument is out of range, or `out` holds something else; nothing was written.
        IdtdError: a video could not be written; nothing is left behind.
    """
    _check(classes, train, test, size, frames, seed)
    document = DemoDocument(parents={}, classes=classes, train=train, test=test, size=size, frames=frames, seed=seed)
    if (out / DemoDocument.FILE).is_file():
        return _already(out, document, progress)
    motions = list(MOTIONS)[:classes]
    numbers = {"train": range(train), "test": range(test)}
    clips = [(split, label, number) for split in _SPLITS for label in range(classes) for number in numbers[split]]
    try:
        with storage.new_folder(out, progress.note) as folder:
            for motion in motions:
                (folder / motion).mkdir()

            def draw(clip: _Clip) -> None:
                split, label, number = clip
                rng = np.random.default_rng([seed, _SPLITS.index(split), label, number])
                frames_THW3 = draw_clip(motions[label], frames, size, rng)
                encode.write_h264(folder / _name(motions, clip), frames_THW3, _FPS, crf=12)

            _in_threads(draw, clips, progress)
            for split in _SPLITS:
                lines = [f"{_name(motions, clip)} {clip[1]}\n" for clip in clips if clip[0] == split]
                storage.write_text(folder / f"{split}.txt", "".join(lines))
            names = [f"{label} {motion}\n" for label, motion in enumerate(motions)]
            storage.write_text(folder / "classes.txt", "".join(names))
            storage.write_text(
                folder / "README.txt",
                "Made-up videos drawn by `idtd demo-data`: textured shapes whose class is their motion alone.\n"
                "classes.txt names the classes, train.txt and test.txt the videos of each split; demo.json says how.\n",
            )
            document.write(folder)
    except OSError as error:
        raise IdtdError(
            f"{out} could not be written: {error.strerror or error}.", "Mend that, or name another folder."
        ) from error
    return document


def _check(classes: int, train: int, test: int, size: int, frames: int, seed: int) -> None:
    rules = [
        (2 <= classes <= len(MOTIONS), f"--classes {classes}", f"from 2 to {len(MOTIONS)}, the motions there are"),
        (train >= 2, f"--train {train}", "at least 2 videos a class"),
        (test >= 1, f"--test {test}", "at least 1 video a class"),
        (size >= 16 and size % 2 == 0, f"--size {size}", "even and at least 16 pixels"),
        (frames >= 8, f"--frames {frames}", "at least 8"),
        (seed >= 0, f"--seed {seed}", "at least 0"),
    ]
    for is_kept, option, rule in rules:
        if not is_kept:
            raise InputError(f"{option} must be {rule}.")


def _already(out: Path, document: DemoDocument, progress: Progress) -> DemoDocument:
    found = documents.read(DemoDocument, out)
    if found.model_dump(exclude={"created_by"}) != document.model_dump(exclude={"created_by"}):
        raise InputError(
            f"{out} holds a demo set drawn with other arguments.", "Name a new folder, or remove this one."
        )
    storage.forget(out)
    progress.note(f"{out} already holds this demo set: nothing to do.")
    return found


def _name(motions: list[str], clip: _Clip) -> str:
    split, label, number = clip
    return f"{motions[label]}/{split}_{number:04d}.mp4"


def _in_threads(draw: Callable[[_Clip], None], clips: list[_Clip], progress: Progress) -> None:
    """Threads are enough: the encoder is a process of its own, and numpy draws without holding the interpreter."""
    executor = ThreadPoolExecutor(provenance.cores())
    try:
        with progress.stage("draw", len(clips)) as task:
            for drawn in as_completed([executor.submit(draw, clip) for clip in clips]):
                drawn.result()
                task.advance()
    finally:
        executor.shutdown(cancel_futures=True)
