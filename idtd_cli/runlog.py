"""What a run says while it runs: progress for a person, and metrics.jsonl for a program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from idtd_cli import storage


class Task(Protocol):
    """One stage under way."""

    def advance(self, n: int = 1, **facts: object) -> None:
        """`n` more units are done; facts (a loss, a class name) are shown beside the bar."""


class Progress(Protocol):
    """Where stages report to. The command line draws bars; tests and library users may stay quiet."""

    def stage(self, name: str, total: int | None) -> AbstractContextManager[Task]:
        """Begin a stage of `total` units (None: unknown)."""

    def note(self, text: str) -> None:
        """Say one line."""


class Quiet:
    """A `Progress` that says nothing."""

    @contextmanager
    def stage(self, name: str, total: int | None) -> Iterator[Task]:
        yield self

    def note(self, text: str) -> None:
        pass

    def advance(self, n: int = 1, **facts: object) -> None:
        pass


class Metrics:
    """metrics.jsonl: one line a step, appended as it happens.

    A run that resumes at step n first drops the lines of steps from n on: they are about to be written again.
    """

    def __init__(self, path: Path, first_step: int) -> None:
        kept = [_as_line(line) for line in read_lines(path) if line["step"] < first_step]
        storage.write_text(path, "".join(kept))
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, step: int, **values: float) -> None:
        self._file.write(_as_line({"step": step, **values}))

    def flush(self) -> None:
        self._file.flush()


def _as_line(values: dict[str, Any]) -> str:
    return json.dumps(values) + "\n"


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a .jsonl file; none if it is missing. A last line cut off by a crash is left out."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return
