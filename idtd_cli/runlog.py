"""What a run says while it runs: progress for a person, .jsonl files for a program, event files for TensorBoard."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from idtd_cli import storage
from idtd_cli.errors import InputError

#: More steps, or seconds, than any run takes.
_MOST_STEPS = 1 << 53


class Task(Protocol):
    """One stage under way."""

    def advance(self, n: int = 1, **facts: object) -> None:
        """`n` more units are done; facts (a loss, a class name) are shown beside the bar."""


class Progress(Protocol):
    """Where stages report to. The command line draws bars; tests and library users may stay quiet."""

    def stage(self, name: str, total: int | None, done: int = 0) -> AbstractContextManager[Task]:
        """Begin a stage of `total` units (None: unknown), or go on with one of which some are done."""

    def note(self, text: str) -> None:
        """Say one line."""


class Quiet:
    """A `Progress` that says nothing."""

    @contextmanager
    def stage(self, name: str, total: int | None, done: int = 0) -> Iterator[Task]:
        yield self

    def note(self, text: str) -> None:
        pass

    def advance(self, n: int = 1, **facts: object) -> None:
        pass


class Meter:
    """Bytes of files on their way, by several threads, on a bar that counts MB, each begun one in full."""

    def __init__(self, task: Task) -> None:
        self._task, self._lock = task, threading.Lock()
        self._reached: dict[str, int] = {}
        self._done = self._shown = 0

    def reach(self, name: str, position: int) -> None:
        """A file came as far as this; where it was before, or was further, nothing is new."""
        with self._lock:
            new = position - self._reached.get(name, 0)
            if new <= 0:
                return
            self._reached[name] = position
            self._done += new
            shown = self.megabytes(self._done)
            if shown > self._shown:
                self._task.advance(shown - self._shown)
                self._shown = shown

    @staticmethod
    def megabytes(count: int) -> int:
        return -(-count // 10**6)


class Board:
    """Event files for TensorBoard, of what other files say as well."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """
        Raises:
            InputError: the package is missing.
        """
        need_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        # Of a run that resumes, TensorBoard drops the steps that are about to be written again.
        self._writer = SummaryWriter(str(folder), purge_step=first_step)

    def add(self, group: str, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


@contextmanager
def tensorboard(folder: Path | None, first_step: int) -> Iterator[Board | None]:
    """A board in a folder; without a folder, none.

    Raises:
        InputError: the package is missing.
    """
    board = Board(folder, first_step) if folder else None
    try:
        yield board
    finally:
        if board:
            board.close()


def need_tensorboard() -> None:
    """
    Raises:
        InputError: the package is missing.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise InputError(
            "--tensorboard needs a package that is not installed.", "Run `pip install 'idtd-cli[tensorboard]'`."
        ) from error


class Metrics:
    """A .jsonl file of figures, such as metrics.jsonl: one line a step, appended as it happens.

    A run that resumes at step n first drops the lines of steps from n on: they are about to be written again.
    """

    def __init__(self, path: Path | None, first_step: int, board: Board | None = None) -> None:
        """Begin a file, or go on with it; a board, if there is one, shows its figures under the file's name.

        Without a file, nothing is kept.
        """
        self._file, self._board = None, board
        if path is None:
            return
        self._group = path.stem
        kept = [_as_line(line) for line in read_steps(path) if line["step"] < first_step]
        storage.write_text(path, "".join(kept))
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def add(self, step: int, **values: float) -> None:
        if self._file:
            self._file.write(_as_line({"step": step, **values}))
        if self._board:
            self._board.add(self._group, step, values)

    def flush(self) -> None:
        if self._file:
            self._file.flush()
        if self._board:
            self._board.flush()


def _as_line(values: dict[str, Any]) -> str:
    return json.dumps(values) + "\n"


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a .jsonl file; none if it is missing. What follows a line that was cut off by a crash is left out,
    and so is what follows one that is no JSON object."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines():
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(values, dict):
            return
        yield values


def read_steps(path: Path, *needed: str) -> Iterator[dict[str, Any]]:
    """The lines of a file of `Metrics`, up to one that names no step, or lacks a number that is needed."""
    for line in read_lines(path):
        step = line.get("step")
        if type(step) is not int or not 0 <= step < _MOST_STEPS:
            return
        values = [line.get(name) for name in needed]
        if not all(isinstance(value, int | float) and abs(value) < _MOST_STEPS for value in values):
            return
        yield line


def duration(seconds: float) -> str:
    """A time for people: `33 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
