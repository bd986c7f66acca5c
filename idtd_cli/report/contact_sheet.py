"""Contact sheets: one row a class, real clips and synthetic videos side by side, time from left to right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_FRAMES = 8
_CELL = 56
_GAP = 14
_HEAD = 26
_NAME = 108


def contact_sheet(
    classes: Sequence[str], columns: Mapping[str, NDArray[np.uint8]], most_classes: int = 12
) -> Image.Image:
    """Draw one video of each class from each set.

    Args:
        classes: names, one a row.
        columns: title → videos (C, T, H, W, 3), one a class; each shows eight frames spread over its time.
        most_classes: rows at most; a note says how many classes are left out.
    """
    shown = list(classes)[:most_classes]
    strip = _FRAMES * _CELL
    width = _NAME + len(columns) * (strip + _GAP)
    rest = len(classes) - len(shown)
    image = Image.new("RGB", (width, _HEAD + len(shown) * (_CELL + 4) + (_HEAD if rest else 0)), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    for column, (title, videos_CTHW3) in enumerate(columns.items()):
        left = _NAME + column * (strip + _GAP)
        draw.text(
            (left, 5),
            f"{title}: {_FRAMES} of its {videos_CTHW3.shape[1]} frames",
            fill="#222",
            font=font,
        )
        for row in range(len(shown)):
            frames = videos_CTHW3[row]
            for place, index in enumerate(np.linspace(0, len(frames) - 1, _FRAMES).round().astype(int)):
                cell = Image.fromarray(frames[index]).resize((_CELL - 2, _CELL - 2), Image.Resampling.NEAREST)
                image.paste(cell, (left + place * _CELL, _HEAD + row * (_CELL + 4)))
    for row, name in enumerate(shown):
        draw.text((4, _HEAD + row * (_CELL + 4) + _CELL // 2 - 9), name[:15], fill="#222", font=font)
    if rest:
        draw.text((4, image.height - _HEAD + 5), f"and {rest} more classes", fill="#222", font=font)
    return image
