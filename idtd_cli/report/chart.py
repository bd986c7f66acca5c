"""Charts: the accuracies of a report over videos a class, the redundancy of a prepared set."""

from __future__ import annotations

import io
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from idtd_cli.report.document import ReportDocument, Result
from idtd_cli.report.redundancy import ClassRedundancy
from idtd_cli.report.summary import ordered, title

#: Black stands for the colour of the text around a chart, which is light on a dark page.
_INK = "#000000"
_COLOURS = {
    "idtd": "#2563eb",
    "other": "#65a30d",
    "pixel": "#f59e0b",
    "static-dynamic": "#db2777",
    "herding": "#0d9488",
    "k-center": "#8b5cf6",
    "random": "#8b949e",
    "full": _INK,
}
_CHANCE = "#dc2626"
#: Classes from which on the names need a larger page.
_CROWD = 30
_LONGEST_NAME = 32


def colour(method: str) -> str:
    """Of a method, as CSS."""
    return _in_page(_COLOURS[method])


@dataclass(frozen=True)
class Curve:
    """Top-1 over videos a class of what goes by one title; where several sets do, their mean, and a band over all.

    Attributes:
        points: videos a class, mean, lower and upper end of the interval; in order.
    """

    title: str
    method: str
    soft_labels: bool
    points: tuple[tuple[int, float, float, float], ...]


def curves(report: ReportDocument) -> list[Curve]:
    """One for all that has several sizes; none where nothing has."""
    kinds: dict[str, dict[int, list[Result]]] = {}
    for result in ordered(report):
        if result.ipc:
            kinds.setdefault(title(result), {}).setdefault(result.ipc, []).append(result)
    found = []
    for kind, sizes in kinds.items():
        points = tuple(
            (
                ipc,
                statistics.fmean(result.top1.mean for result in results),
                min(result.interval[0] for result in results),
                max(result.interval[1] for result in results),
            )
            for ipc, results in sizes.items()
        )
        if len(points) > 1:
            first = next(iter(sizes.values()))[0]
            found.append(Curve(kind, first.method, first.soft_labels, points))
    return found


def curves_svg(report: ReportDocument) -> str:
    """The curves with their bands, the full data and chance as lines; an <svg> element, "" where there is no curve.

    It takes the colour and the font of the text around it.
    """
    drawn = curves(report)
    if not drawn:
        return ""
    import matplotlib
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(4.8, 3.2), layout="constrained")
    axes = figure.subplots()
    for curve in drawn:
        sizes, means, lows, highs = zip(*curve.points, strict=True)
        colour = _COLOURS[curve.method]
        axes.fill_between(sizes, [100 * low for low in lows], [100 * high for high in highs], color=colour, alpha=0.15)
        style = "--" if curve.soft_labels else "-"
        axes.plot(sizes, [100 * mean for mean in means], style, color=colour, marker="o", markersize=4)
    ticks = sorted({ipc for curve in drawn for ipc, *_ in curve.points})
    for result in ordered(report):
        if result.ipc is None:
            axes.axhline(100 * result.top1.mean, color=_COLOURS[result.method], linewidth=1)
    axes.axhline(100 * report.chance, color=_CHANCE, linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(ipc) for ipc in ticks])
    axes.set_xticks([], minor=True)
    axes.set(ylim=(0, 100), xlabel="videos a class", ylabel=f"top-1 on {report.scored_split}, %")
    axes.spines[["top", "right"]].set_visible(False)
    svg = io.StringIO()
    # Words stay words; and without the salt, the names of its parts would be drawn by chance.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "idtd"}):
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    element = svg.getvalue()
    return _in_page(element[element.index("<svg") :])


def _in_page(drawn: str) -> str:
    return drawn.replace(_INK, "currentColor")


def redundancy_png(found: Sequence[ClassRedundancy]) -> bytes:
    """One dot a class: inter-sample redundancy to the right, within-sample redundancy up, bars for the spreads.

    A class for which one of the two is not known has no dot.
    """
    from matplotlib.figure import Figure

    side = 7 if len(found) <= _CROWD else 14
    figure: Any = Figure(figsize=(side, 0.8 * side), layout="constrained", dpi=150)
    axes = figure.subplots()
    for place, each in enumerate(found):
        if each.inter and each.within:
            x, y = each.inter.mean, each.within.mean
            axes.errorbar(x, y, xerr=each.inter.std, yerr=each.within.std, fmt="o", color="#2563eb", ecolor="#bfdbfe")
            # Above and below in turn, so that neighbours collide less. A name is no formula, whatever dollars it holds.
            beside = (5, -11 if place % 2 else 4)
            name = each.name if len(each.name) <= _LONGEST_NAME else f"{each.name[: _LONGEST_NAME - 1]}…"
            axes.annotate(name, (x, y), beside, textcoords="offset points", fontsize=8, parse_math=False)
    axes.set(xlabel="inter-sample redundancy: between clips of the class")
    axes.set(ylabel="within-sample redundancy: between frames of a clip")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.12)
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks is drawn as a box
        figure.savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()
