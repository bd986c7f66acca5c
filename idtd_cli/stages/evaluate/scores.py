"""scores.jsonl: what each student said, one line each, so that an evaluation that was stopped goes on from there.

A line ends in the digest of its content; of one that is damaged, the student is trained again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from idtd_cli import storage
from idtd_cli.runlog import Progress
from idtd_cli.stages.evaluate.students import Said

FILE = "scores.jsonl"
_KINDS = {"key": str, "top1": float, "seconds": float, "hardware": str, "found": list, "place": list}


class Scores:
    """The lines of a report folder. Those of other data, of another protocol or another set are passed over, and what
    is no line of ours as well.
    """

    def __init__(self, folder: Path, progress: Progress) -> None:
        self._path = folder / FILE
        self._known = {line["key"]: line for line in _read(self._path, progress)}

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

    def add(self, key: str, said: Said, order: Sequence[str]) -> None:
        """Write down what a student said.

        Args:
            key: of the student.
            said: by it.
            order: keys whose lines stand in this order behind all others, whichever was first to be known.
        """
        self._known[key] = {"key": key, "top1": said.predictions.top(1)} | asdict(said)
        place = {own: number for number, own in enumerate(order)}
        # All lines anew: they are few, and none is ever cut off.
        known = sorted(self._known.values(), key=lambda line: place.get(line["key"], -1))
        lines = (line | {"sha256": _digest(line)} for line in known)
        storage.write_text(self._path, "".join(json.dumps(line) + "\n" for line in lines))


def _read(path: Path, progress: Progress) -> Iterator[dict[str, Any]]:
    """The lines that are as they were written."""
    if not path.is_file():
        return
    for number, text in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            line = json.loads(text)
            said = line.pop("sha256", None)  # lines of before have none
            whole = said in (None, _digest(line)) and _is_whole(line)
        except (ValueError, TypeError, AttributeError, RecursionError):
            whole = False
        if whole:
            yield line
        else:
            progress.note(f"{path}: line {number} is damaged; its student is trained again.")


def _digest(line: dict[str, Any]) -> str:
    return storage.sha256_bytes(json.dumps(line).encode())


def _is_whole(line: dict[str, Any]) -> bool:
    """Whether a line says all that a student said, and of each video the same number of times."""
    return all(isinstance(line.get(name), kind) for name, kind in _KINDS.items()) and (
        _shape(line["found"]) == _shape(line["place"]) is not None
    )


def _shape(numbers_VN: list[Any]) -> tuple[int, int] | None:
    """V and N, if these are numbers of the same N videos each of V times; else None."""
    if not all(isinstance(row, list) for row in numbers_VN) or len(counts := {len(row) for row in numbers_VN}) != 1:
        return None
    whole = all(type(number) is int and 0 <= number < 1 << 31 for row in numbers_VN for number in row)
    return (len(numbers_VN), counts.pop()) if whole else None
