"""A table as a chart: curves over an axis of numbers, else bars."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

from idtd_cli.report.figures.figure import drawing
from idtd_cli.report.table import Row, TableDocument

_COLOURS = (
    "#2563eb",
    "#f59e0b",
    "#db2777",
    "#0d9488",
    "#7c3aed",
    "#65a30d",
    "#dc2626",
    "#0891b2",
    "#a16207",
    "#4b5563",
)
_MARKERS = "osD^vPX*<>"
_REFERENCES = {"random": ("#9ca3af", ":"), "full": ("#111827", "--")}
_LONGEST_NAME = 40


def table_chart(document: TableDocument) -> tuple[bytes, str]:
    """PNG and SVG of the cells that are done, with standard errors as the table has them.

    The longest axis whose values are all numbers goes to the right, and arms are curves with a band; without such an
    axis, arms are bars, one below the other. Other axes are panels side by side.
    """
    from matplotlib.figure import Figure

    numbered = [axis for axis, values in document.axes.items() if len(values) > 1 and all(map(_is_number, values))]
    over = max(numbered, key=lambda axis: len(document.axes[axis]), default=None)
    others = {axis: values for axis, values in document.axes.items() if axis != over}
    panels = [dict(zip(others, place, strict=True)) for place in product(*others.values())]
    height = 4.4 if over else 1.2 + 0.34 * (len(document.arms) + 2)
    figure: Any = Figure(figsize=(max(6.4, 4.6 * len(panels)), height), layout="constrained")
    for axes, place in zip(
        figure.subplots(1, len(panels), sharex=not over, sharey=True, squeeze=False)[0], panels, strict=True
    ):
        rows = [row for row in document.rows if place.items() <= row.place.items()]
        if over:
            _curves(axes, rows, document, over)
        else:
            _bars(axes, rows, document)
        axes.set_title(", ".join(f"{axis.rpartition('.')[2]} {value}" for axis, value in place.items()), fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    return drawing(figure)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _curves(axes: Any, rows: list[Row], document: TableDocument, over: str) -> None:
    values = sorted({float(value) for value in document.axes[over]})
    for number, (arm, beside) in enumerate(_order(document)):
        points = [(float(row.place[over]), row) for row in rows if (row.arm, row.seeds == 0) == (arm, beside)]
        if not points:
            continue
        points.sort(key=lambda point: point[0])
        reference = _REFERENCES[points[0][1].method] if beside else None
        colour, style = reference or (_COLOURS[number % len(_COLOURS)], "-")
        x = [value for value, _ in points]
        mean = [100 * row.top1 for _, row in points]
        error = [100 * (row.error or 0) for _, row in points]
        marker = None if reference else _MARKERS[number % len(_MARKERS)]
        axes.plot(x, mean, style, color=colour, marker=marker, label=_short(arm))
        low, high = ([m + sign * e for m, e in zip(mean, error, strict=True)] for sign in (-1, 1))
        axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel=over.rpartition(".")[2], ylabel="top-1, %")
    axes.set_xscale("log" if values[0] > 0 and values[-1] >= 8 * values[0] else "linear")
    axes.set_xticks(values, [f"{value:g}" for value in values], minor=False)
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    if rows:
        axes.legend(fontsize=8, frameon=False)


def _bars(axes: Any, rows: list[Row], document: TableDocument) -> None:
    of_arm = {(row.arm, row.seeds == 0): row for row in rows}
    order = _order(document)  # the same in all panels, which share their names
    for place, key in enumerate(order):
        if (row := of_arm.get(key)) is None:
            continue
        colour = _REFERENCES[row.method][0] if key[1] else _COLOURS[0]
        axes.barh(-place, 100 * row.top1, xerr=100 * row.error if row.error else None, color=colour, height=0.66)
        axes.plot(
            [100 * mean for mean in row.top1_of_sets],
            [-place] * len(row.top1_of_sets),
            "o",
            color="white",
            markeredgecolor="black",
            markersize=3.5,
        )
    axes.set_yticks([-place for place in range(len(order))], [_short(arm) for arm, _ in order], parse_math=False)
    axes.set(xlabel="top-1, %")
    axes.set_xlim(left=0)


def _order(document: TableDocument) -> list[tuple[str, bool]]:
    """What has a figure anywhere, as its name and whether it is a reference: arms first."""
    there = dict.fromkeys((row.arm, row.seeds == 0) for row in document.rows)
    arms = [(arm, False) for arm in document.arms if (arm, False) in there]
    return arms + [key for key in there if key[1]]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
