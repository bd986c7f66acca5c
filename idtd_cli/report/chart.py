"""Charts: the accuracies of a report, the redundancy of a prepared set."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

from idtd_cli.report.document import ReportDocument
from idtd_cli.report.redundancy import ClassRedundancy
from idtd_cli.report.summary import ordered, title

_COLOURS = {
    "idtd": "#2563eb",
    "other": "#65a30d",
    "pixel": "#f59e0b",
    "static-dynamic": "#db2777",
    "herding": "#0d9488",
    "k-center": "#7c3aed",
    "random": "#9ca3af",
    "full": "#111827",
}
#: Classes from which on the names need a larger page.
_CROWD = 30
_LONGEST_NAME = 32


def accuracy_svg(report: ReportDocument) -> str:
    """One bar a result: the mean as its length, each student as a dot, chance as a line. Returns an <svg> element."""
    import matplotlib
    from matplotlib.figure import Figure

    results = ordered(report)[::-1]
    figure: Any = Figure(figsize=(8, 0.9 + 0.42 * len(results)), layout="constrained")
    axes = figure.subplots()
    for place, result in enumerate(results):
        values = [100 * value for value in result.top1.values]
        axes.barh(place, 100 * result.top1.mean, color=_COLOURS[result.method], height=0.62, alpha=0.85)
        axes.plot(values, [place] * len(values), "o", color="white", markeredgecolor="black", markersize=4)
    names = [title(r) + (f", {r.ipc} a class" if r.ipc else "") for r in results]
    axes.set_yticks(range(len(results)), names)
    axes.axvline(100 * report.chance, color="#dc2626", linestyle="--", linewidth=1)
    axes.text(100 * report.chance + 0.6, len(results) - 0.52, "chance", color="#dc2626", fontsize=8, va="bottom")
    axes.set(xlim=(0, 100), xlabel=f"top-1 on {report.scored_split}, %")
    axes.spines[["top", "right"]].set_visible(False)
    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "idtd"}):  # else the names of its parts are drawn by chance
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    svg = drawn.getvalue()
    return svg[svg.index("<svg") :]


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
