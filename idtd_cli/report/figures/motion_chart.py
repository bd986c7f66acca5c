"""How much the videos of each arm change over time, beside real clips: the figure `temporal`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from idtd_cli.method.motion import difference_energy, flow_magnitude
from idtd_cli.report.figures.figure import Figure, drawing, lines

_COLOURS = {True: "#111827", False: "#2563eb"}


def motion_chart(pieces: Mapping[str, Tensor], real: frozenset[str]) -> Figure:
    """Measure and draw.

    Args:
        pieces: what it is → stretches of video that belong together, (N, L, 3, H, W) bytes: a video in K segments is K
            of them, so that the joins are no motion.
        real: which of them are real clips.
    """
    found = {name: (difference_energy(clips), flow_magnitude(clips)) for name, clips in pieces.items()}
    rows = [
        (name, name in real, len(pieces[name]), pieces[name].shape[1], *_spread(energy), *_spread(flow))
        for name, (energy, flow) in found.items()
    ]
    header = ("videos", "real", "n", "frames", "energy", "energy_error", "flow", "flow_error")
    png, svg = _draw(rows)
    listed = "\n".join(
        f"| {name} | {n} | {frames} | {1000 * energy:.2f} ± {1000 * energy_error:.2f} | {flow:.3f} ± {flow_error:.3f} |"
        for name, _, n, frames, energy, energy_error, flow, flow_error in rows
    )
    words = (
        "# Change over time\n\n"
        "Frame-difference energy: mean square of the difference between neighbouring frames, values in 0..1, times "
        "1000. Flow: mean length of the optical flow between neighbouring frames, in pixels, where it can be known "
        "(Lucas-Kanade). Mean ± standard error over the stretches; a video in K segments is K stretches, and frames "
        "are those of one. Real clips are read in as many frames.\n\n"
        "| videos | stretches | frames | energy × 1000 | flow |\n| --- | --- | --- | --- | --- |\n" + listed
    )
    return Figure("temporal", png, svg, lines(header, rows), words)


def _spread(values_N: Tensor) -> tuple[float, float]:
    """Mean and its standard error."""
    values = values_N.tolist()
    return statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def _draw(rows: list[tuple[Any, ...]]) -> tuple[bytes, str]:
    from matplotlib.figure import Figure as Drawn

    figure: Any = Drawn(figsize=(9, 1.2 + 0.36 * len(rows)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, place, label in ((left, 4, "frame-difference energy"), (right, 6, "optical flow, pixels a frame")):
        for number, row in enumerate(rows):
            axes.barh(-number, row[place], xerr=row[place + 1], color=_COLOURS[row[1]], height=0.66)
        axes.set(xlabel=label)
        axes.spines[["top", "right"]].set_visible(False)
    names = [f"{row[0]}, {row[3]} frames" for row in rows]
    left.set_yticks([-number for number in range(len(rows))], names, parse_math=False)
    return drawing(figure)


def stretches(videos_NT3HW: Tensor, segments: int) -> Tensor:
    """Videos of K segments as K times as many pieces of T/K frames."""
    return torch.cat([video.unflatten(0, (segments, -1)) for video in videos_NT3HW])
