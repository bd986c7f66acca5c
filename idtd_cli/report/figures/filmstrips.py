"""Videos of each arm side by side, beside a real one: the figure `qualitative`."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from idtd_cli.report.contact_sheet import contact_sheet, png
from idtd_cli.report.figures.figure import Figure, lines


def filmstrips(classes: Sequence[str], columns: Mapping[str, NDArray[np.uint8]], made: Mapping[str, str]) -> Figure:
    """Draw the first video of each class.

    Args:
        classes: names, in class order.
        columns: title → videos (C, T, H, W, 3).
        made: title → what set the videos are of.
    """
    sheet = contact_sheet(classes, columns)
    picture = png(sheet)
    data = base64.b64encode(picture).decode()
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {sheet.width} {sheet.height}">'
        f'<image width="{sheet.width}" height="{sheet.height}" href="data:image/png;base64,{data}"/></svg>\n'
    )
    rows = [(title, made[title], label, videos.shape[1]) for title, videos in columns.items() for label in classes]
    words = (
        "# Videos side by side\n\nThe first video of each class, of the first distillation of each arm, and a real "
        "training clip that was drawn at random; frames are spread over all of a video, whatever its segments. Nothing "
        "was picked by eye."
    )
    return Figure("qualitative", picture, svg, lines(("videos", "set", "class", "frames"), rows), words)
