"""The accuracy chart of a report."""

from __future__ import annotations

import io
from typing import Any

from idtd_cli.report.document import ReportDocument
from idtd_cli.report.summary import TITLES, ordered

_COLOURS = {"idtd": "#2563eb", "pixel": "#f59e0b", "random": "#9ca3af", "full": "#111827"}


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
    names = [TITLES[r.method] + (f", {r.ipc} a class" if r.ipc else "") for r in results]
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
