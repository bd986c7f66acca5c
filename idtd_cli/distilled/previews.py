"""Pictures of a set, for people: a poster, the same that moves, and a filmstrip of each class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from idtd_cli.distilled.document import SetDocument

POSTER, GIF, STRIPS = "poster.png", "preview.gif", "filmstrips"

_Frame = NDArray[np.uint8]  #: (H, W, 3)
#: Of the poster: classes that it shows at most, and how many side by side.
_MOST_CLASSES, _COLUMNS = 36, 6
_MOST_FRAMES = 16  #: of a filmstrip
#: Pixels. Previews must not outweigh a set of many classes: strips are JPEGs, and what moves is small.
_POSTER_SIDE, _SIDE, _GAP, _NAME = 96, 64, 4, 16


def write(folder: Path, document: SetDocument, videos_NT3HW: Tensor) -> None:
    """Draw the first video of each class; the same clips give the same bytes, with the same Pillow."""
    firsts_CTHW3 = videos_NT3HW[:: document.videos_a_class].permute(0, 1, 3, 4, 2).numpy()
    frames = document.frames
    _poster(document.classes, firsts_CTHW3[:, frames // 2], _POSTER_SIDE).save(folder / POSTER)
    first, *rest = (_poster(document.classes, firsts_CTHW3[:, frame], _SIDE) for frame in range(frames))
    first.save(folder / GIF, save_all=True, append_images=rest, duration=1000 // document.fps, loop=0)

    (folder / STRIPS).mkdir()
    shown = np.linspace(0, frames - 1, min(frames, _MOST_FRAMES)).round().astype(int)
    for video_THW3, name in zip(firsts_CTHW3, document.class_files(), strict=True):
        strip = _grid([_sized(video_THW3[frame], _SIDE) for frame in shown], len(shown))
        strip.save(folder / STRIPS / f"{name}.jpg", quality=90)


def _poster(classes: Sequence[str], frames_CHW3: NDArray[np.uint8], side: int) -> Image.Image:
    """One frame of each class, with its name."""
    shown = list(zip(frames_CHW3, classes, strict=True))[:_MOST_CLASSES]
    return _grid([_named(_sized(frame, side), name) for frame, name in shown], min(len(shown), _COLUMNS))


def _grid(cells: Sequence[Image.Image], columns: int) -> Image.Image:
    width, height = cells[0].width + _GAP, cells[0].height + _GAP
    grid = Image.new("RGB", (columns * width + _GAP, -(-len(cells) // columns) * height + _GAP), "white")
    for place, cell in enumerate(cells):
        row, column = divmod(place, columns)
        grid.paste(cell, (column * width + _GAP, row * height + _GAP))
    return grid


def _sized(frame_HW3: _Frame, side: int) -> Image.Image:
    """A frame with a short side of about `side`. A small one shows its pixels, a large one is averaged."""
    frame = Image.fromarray(frame_HW3)
    short = min(frame.size)
    if short < side:
        factor = -(-side // short)
        return frame.resize((frame.width * factor, frame.height * factor), Image.Resampling.NEAREST)
    return frame.resize((frame.width * side // short, frame.height * side // short), Image.Resampling.BOX)


def _named(frame: Image.Image, name: str) -> Image.Image:
    """A frame under a name, cut to its width."""
    cell = Image.new("RGB", (frame.width, frame.height + _NAME), "white")
    cell.paste(frame, (0, _NAME))
    font = ImageFont.load_default(12)
    name = " ".join(name.split())
    while font.getlength(name) > cell.width:
        name = name[:-2] + "…"
    ImageDraw.Draw(cell).text((0, 0), name, fill="#222", font=font)
    return cell
