"""Videos that play in a page: a few classes, one video of each set, small and in the page itself."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from idtd_cli.video import encode

#: Characters that all of them may take in a page.
_MOST_CHARACTERS = 4_000_000
#: Browsers of phones hold no more players than about 40.
_MOST_VIDEOS, _MOST_CLASSES, _MOST_COLUMNS = 36, 12, 9
#: Short side, in pixels, that a page shows.
_SIDE = 128
#: Between small and true; the sets' own files are better (`videos/` of each).
_CRF = 23
#: A stored clip has no rate of its own; this lets a person see what a short one holds.
_FPS = 8


@dataclass(frozen=True)
class Shown:
    """Rows of a class and its videos, each a title and a data: address; and a sentence on what is left out, if any."""

    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    left_out: str = ""


def shown(classes: Sequence[str], columns: Mapping[str, NDArray[np.uint8]], scratch: Path | None = None) -> Shown:
    """Encode the first classes, as many as a page can hold.

    Args:
        classes: names.
        columns: title → videos (C, T, H, W, 3), one for each class; at least one title.
        scratch: a folder for what is there for a moment; None is that of the system.

    Raises:
        IdtdError: ffmpeg failed.
    """
    titles = list(columns)[:_MOST_COLUMNS]
    most = min(len(classes), _MOST_CLASSES, _MOST_VIDEOS // len(titles))
    rows: list[tuple[str, tuple[tuple[str, str], ...]]] = []
    room = _MOST_CHARACTERS
    for number, name in enumerate(classes[:most]):
        row = [(title, _address(columns[title][number], scratch)) for title in titles]
        while not rows and len(row) > 1 and _characters(row) > room:
            titles.pop()
            row.pop()
        room -= _characters(row)
        if room < 0:
            break
        rows.append((name, tuple(row)))
    left = [
        f"{count} of {every} {what}"
        for what, count, every in (("classes", len(rows), len(classes)), ("kinds", len(titles), len(columns)))
        if count < every
    ]
    return Shown(tuple(rows), f"Shown are {' and '.join(left)}: the page is to stay small." if left else "")


def _characters(row: Sequence[tuple[str, str]]) -> int:
    return sum(len(address) for _, address in row)


def _address(frames_THW3: NDArray[np.uint8], scratch: Path | None) -> str:
    """A video as a data: address; of small frames, pixels become squares."""
    factor = max(1, _SIDE // min(frames_THW3.shape[1:3]))
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / "video.mp4"
        encode.write_h264(path, frames_THW3.repeat(factor, axis=1).repeat(factor, axis=2), _FPS, crf=_CRF)
        return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()
