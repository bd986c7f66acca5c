"""What a figure is on disk."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A drawing, the numbers that are in it, and what was measured, in words."""

    name: str
    png: bytes
    svg: str
    csv: str
    words: str

    def files(self) -> dict[str, bytes]:
        """File name → content."""
        texts = {"svg": self.svg, "csv": self.csv, "md": self.words.rstrip() + "\n"}
        return {f"{self.name}.png": self.png} | {f"{self.name}.{end}": text.encode() for end, text in texts.items()}


def drawing(figure: Any) -> tuple[bytes, str]:
    """A matplotlib figure as PNG and as SVG, the same bytes each time."""
    import matplotlib

    png, svg = io.BytesIO(), io.StringIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "idtd"}):
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks is drawn as a box
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None})
    return png.getvalue(), svg.getvalue()


def lines(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """CSV; floats with six digits behind the point."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row])
    return text.getvalue()
