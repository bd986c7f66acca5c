"""What a class gains by a method, over how redundant it is: the figure `redundancy` (after the paper's Figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idtd_cli.report.figures.figure import Figure, drawing, lines
from idtd_cli.report.redundancy import ClassRedundancy

_DRAWS = 2000


def redundancy_chart(found: Sequence[ClassRedundancy], gain: dict[str, float], one: str, other: str) -> Figure:
    """Draw the gain of each class and say how it goes with both redundancies.

    Args:
        found: redundancy of the classes.
        gain: class → accuracy by the one less that by the other, in points.
        one: an arm.
        other: the arm that it is compared with.
    """
    rows = [
        (each.name, each.inter.mean, each.within.mean, gain[each.name]) for each in found if each.inter and each.within
    ]
    said = []
    for column, name in ((1, "inter-sample"), (2, "within-sample")) if rows else ():
        x, y = (np.array([float(row[place]) for row in rows]) for place in (column, 3))
        r, low, high = correlation(x, y)
        sure = "its interval holds 0, so that these classes do not show one" if low <= 0 <= high else "beyond the noise"
        said.append(f"- {name}: r = {r:+.2f} (95 % bootstrap interval over classes {low:+.2f} to {high:+.2f}): {sure}.")
    if not rows:
        said = ["Of no class are both known: they need two clips, of two frames."]
    png, svg = _draw(rows, one, other)
    words = (
        f"# Gain over redundancy\n\nThe gain of {one} over {other}, in points of a class's accuracy, and how redundant "
        f"the class's training clips are (`idtd show --redundancy`); Pearson's r over {len(rows)} classes:\n\n"
        + "\n".join(said)
    )
    return Figure("redundancy", png, svg, lines(("class", "inter_sample", "within_sample", "gain_points"), rows), words)


def correlation(x_C: NDArray[np.float64], y_C: NDArray[np.float64]) -> tuple[float, float, float]:
    """Pearson's r and the ends of its 95 % bootstrap interval over what is paired; 0 where one side is constant."""
    generator = np.random.default_rng(0)
    drawn = [_pearson(x_C[picked], y_C[picked]) for picked in generator.integers(len(x_C), size=(_DRAWS, len(x_C)))]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return _pearson(x_C, y_C), float(low), float(high)


def _pearson(x_C: NDArray[np.float64], y_C: NDArray[np.float64]) -> float:
    x, y = x_C - x_C.mean(), y_C - y_C.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 1e-12 else 0.0


def _draw(rows: Sequence[tuple[str, float, float, float]], one: str, other: str) -> tuple[bytes, str]:
    from matplotlib.figure import Figure as Drawn

    figure: Any = Drawn(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, column, label in ((left, 1, "inter-sample redundancy"), (right, 2, "within-sample redundancy")):
        for number, row in enumerate(rows):
            axes.plot(row[column], row[3], "o", color="#2563eb")
            beside = (5, -11 if number % 2 else 4)
            axes.annotate(
                row[0][:24], (row[column], row[3]), beside, textcoords="offset points", fontsize=8, parse_math=False
            )
        axes.axhline(0, color="#9ca3af", linewidth=1)
        axes.set(xlabel=label)
        axes.margins(0.15)
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylabel(f"points of {one} over {other}", parse_math=False)
    return drawing(figure)
