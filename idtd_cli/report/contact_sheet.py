"""Contact sheets: one row a class, videos of each kind side by side, time from left to right."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_FRAMES = 8
_CELL = 56
_GAP = 14
_HEAD = 26
_NAME = 108


def frames_last(videos_CT3HW: Tensor) -> NDArray[np.uint8]:
    """Videos as pictures are drawn: (C, T, H, W, 3)."""
    pictures: NDArray[np.uint8] = videos_CT3HW.permute(0, 1, 3, 4, 2).cpu().numpy()
    return pictures


def png(sheet: Image.Image) -> bytes:
    """A sheet as a file."""
    drawn = io.BytesIO()
    sheet.save(drawn, format="PNG")
    return drawn.getvalue()


def contact_sheet(
    classes: Sequence[str],
    columns: Mapping[str, NDArray[np.uint8]],
    most_classes: int = 12,
    frame_width: int = _CELL - 2,
) -> Image.Image:
    """Draw one video of each class from each set.

    Args:
        classes: names, one a row.
        columns: title → videos (C, T, H, W, 3), one for each class that has a row; each shows eight frames spread over
            its time.
        most_classes: rows at most; a note says how many classes are left out.
        frame_width: pixels of the sheet that a frame is wide; its height follows.
    """
    shown = list(classes)[:most_classes]
    frame_height = max((round(frame_width * v.shape[2] / v.shape[3]) for v in columns.values()), default=frame_width)
    cell, line = frame_width + 2, frame_height + 6
    strip = _FRAMES * cell
    width = _NAME + len(columns) * (strip + _GAP)
    rest = len(classes) - len(shown)
    image = Image.new("RGB", (width, _HEAD + len(shown) * line + (_HEAD if rest else 0)), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    # Names first, so that none runs into the frames.
    for row, name in enumerate(shown):
        lines = textwrap.wrap(name, 14, max_lines=3, placeholder="…")
        middle = _HEAD + row * line + frame_height // 2
        draw.multiline_text((4, middle), "\n".join(lines), fill="#222", font=font, anchor="lm", spacing=2)
    for column, (title, videos_CTHW3) in enumerate(columns.items()):
        left = _NAME + column * (strip + _GAP)
        frames = videos_CTHW3.shape[1]
        draw.text((left, 5), f"{title}: {min(_FRAMES, frames)} of its {frames} frames", fill="#222", font=font)
        for row in range(len(shown)):
            for place, index in enumerate(np.linspace(0, frames - 1, _FRAMES).round().astype(int)):
                frame = Image.fromarray(videos_CTHW3[row, index])
                # Small frames show their pixels; large ones are averaged, or they would flicker.
                way = Image.Resampling.NEAREST if frame.width <= frame_width else Image.Resampling.BOX
                image.paste(frame.resize((frame_width, frame_height), way), (left + place * cell, _HEAD + row * line))
    if rest:
        draw.text((4, image.height - _HEAD + 5), f"and {rest} more classes", fill="#222", font=font)
    return image
