"""scores.jsonl: what each student said, one line each, so that an evaluation that was stopped goes on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from idtd_cli import storage
from idtd_cli.runlog import read_lines
from idtd_cli.students.predictions import Predictions

FILE = "scores.jsonl"


class Scores:
    """The lines of a report folder. Those of other data, of another protocol or another set are passed over, and what
    is no line of ours as well.
    """

    def __init__(self, folder: Path, hardware: str) -> None:
        self._path, self._hardware = folder / FILE, hardware
        #: what the students that were asked for were trained on, in the order in which they were
        self.hardware: dict[str, None] = {}
        self._lines = list(read_lines(self._path))
        self._known = {line["key"]: line for line in self._lines if _is_whole(line)}

    def knows(self, protocol: str, trained_on: str, number: int) -> bool:
        """Whether a student was trained already."""
        return self._key(protocol, trained_on, number) in self._known

    def add(self, protocol: str, trained_on: str, said: Mapping[int, Predictions], seconds: float) -> None:
        """Write down what students say that were trained at once.

        Args:
            protocol: digest of the data and of all that decides what a student of it says.
            trained_on: digest of the set.
            said: by the number, which is the seed, of each student.
            seconds: that all of them took.
        """
        hardware = self._hardware + (f", {len(said)} students at once" if len(said) > 1 else "")
        for number, one in said.items():
            key = self._key(protocol, trained_on, number)
            line: dict[str, Any] = {"key": key, "top1": one.top(1), "seconds": seconds / len(said)}
            line["hardware"] = hardware
            self._known[key] = line | {"found": one.found_VN.tolist(), "place": one.place_VN.tolist()}
            self._lines.append(self._known[key])
        # All lines anew: they are few, and none is ever cut off.
        storage.write_text(self._path, "".join(json.dumps(line) + "\n" for line in self._lines))

    def get(self, protocol: str, trained_on: str, number: int) -> tuple[Predictions, float]:
        """What a student says that is known, and its seconds."""
        known = self._known[self._key(protocol, trained_on, number)]
        self.hardware[known["hardware"]] = None
        return Predictions(torch.tensor(known["found"]), torch.tensor(known["place"])), known["seconds"]

    @staticmethod
    def _key(protocol: str, trained_on: str, number: int) -> str:
        return storage.sha256_bytes(f"{protocol} {trained_on} {number}".encode())


def _is_whole(line: dict[str, Any]) -> bool:
    """Whether a line says all that a student said, and of each video the same number of times."""
    kinds = {"key": str, "hardware": str, "seconds": float, "found": list, "place": list}
    return all(isinstance(line.get(name), kind) for name, kind in kinds.items()) and (
        _shape(line["found"]) == _shape(line["place"]) is not None
    )


def _shape(numbers_VN: list[Any]) -> tuple[int, int] | None:
    """V and N, if these are numbers of the same N videos each of V times; else None."""
    if not all(isinstance(row, list) for row in numbers_VN) or len(counts := {len(row) for row in numbers_VN}) != 1:
        return None
    whole = all(type(number) is int and 0 <= number < 1 << 31 for row in numbers_VN for number in row)
    return (len(numbers_VN), counts.pop()) if whole else None
