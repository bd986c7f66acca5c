"""scores.jsonl: what each student said, one line each, so that an evaluation that was stopped goes on from there.

A line ends in the digest of its content; of one that is damaged, the student is trained again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from idtd_cli import storage
from idtd_cli.runlog import Progress
from idtd_cli.students.predictions import Predictions

FILE = "scores.jsonl"
_KEYS = {"key", "top1", "seconds", "hardware", "found", "place"}


class Scores:
    """The lines of a report folder. Those of other data, of another protocol or another set are passed over."""

    def __init__(self, folder: Path, hardware: str, progress: Progress) -> None:
        self._path, self._hardware = folder / FILE, hardware
        #: what the students that were asked for were trained on, in the order in which they were
        self.hardware: dict[str, None] = {}
        self._known = {line["key"]: line for line in _read(self._path, progress)}

    def knows(self, protocol: str, trained_on: str, number: int) -> bool:
        """Whether a student was trained already."""
        return self._key(protocol, trained_on, number) in self._known

    def get_or_compute(
        self, protocol: str, trained_on: str, number: int, compute: Callable[[], Predictions]
    ) -> tuple[Predictions, float]:
        """What a student says, and its seconds, computed and written down unless they are known.

        Args:
            protocol: digest of the data and of all that decides what a student of it says.
            trained_on: digest of the set.
            number: seed of the student.
            compute: trains it and asks it.
        """
        key = self._key(protocol, trained_on, number)
        if key not in self._known:
            began = time.perf_counter()
            said = compute()
            line: dict[str, Any] = {"key": key, "top1": said.top(1), "seconds": time.perf_counter() - began}
            line["hardware"] = self._hardware
            self._known[key] = line | {"found": said.found_VN.tolist(), "place": said.place_VN.tolist()}
            # All lines anew: they are few, and none is ever cut off.
            lines = (line | {"sha256": _digest(line)} for line in self._known.values())
            storage.write_text(self._path, "".join(json.dumps(line) + "\n" for line in lines))
        known = self._known[key]
        self.hardware[known["hardware"]] = None
        return Predictions(torch.tensor(known["found"]), torch.tensor(known["place"])), known["seconds"]

    @staticmethod
    def _key(protocol: str, trained_on: str, number: int) -> str:
        return storage.sha256_bytes(f"{protocol} {trained_on} {number}".encode())


def _read(path: Path, progress: Progress) -> Iterator[dict[str, Any]]:
    """The lines that are as they were written."""
    if not path.is_file():
        return
    for number, text in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            line = json.loads(text)
            said = line.pop("sha256", None)  # lines of before have none
            whole = line.keys() == _KEYS and said in (None, _digest(line))
        except (ValueError, AttributeError):
            whole = False
        if whole:
            yield line
        else:
            progress.note(f"{path}: line {number} is damaged; its student is trained again.")


def _digest(line: dict[str, Any]) -> str:
    return storage.sha256_bytes(json.dumps(line).encode())
