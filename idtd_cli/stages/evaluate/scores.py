"""scores.jsonl: what each student said, one line each, so that an evaluation that was stopped goes on from there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from idtd_cli import storage
from idtd_cli.runlog import read_lines
from idtd_cli.stages.evaluate.students import Said

FILE = "scores.jsonl"


class Scores:
    """The lines of a report folder. Those of other data, of another protocol or another set are passed over."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lines = list(read_lines(self._path))
        self._known = {line["key"]: line for line in self._lines if "place" in line and "hardware" in line}

    @staticmethod
    def key(protocol: str, trained_on: str, seed: int) -> str:
        """What a student's line is found by.

        Args:
            protocol: digest of the data and of all that decides what a student of it says.
            trained_on: digest of the set.
            seed: of the student.
        """
        return storage.sha256_bytes(f"{protocol} {trained_on} {seed}".encode())

    def __contains__(self, key: str) -> bool:
        """Whether a student was trained already."""
        return key in self._known

    def __getitem__(self, key: str) -> Said:
        return Said(**{name: self._known[key][name] for name in ("seconds", "hardware", "found", "place")})

    def add(self, key: str, said: Said) -> None:
        """Write down what a student said."""
        line: dict[str, Any] = {"key": key, "top1": said.predictions.top(1)} | asdict(said)
        self._known[key] = line
        self._lines.append(line)
        # All lines anew: they are few, and none is ever cut off.
        storage.write_text(self._path, "".join(json.dumps(line) + "\n" for line in self._lines))
