from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import output
from idtd_cli.errors import InputError


def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder made by any command.")],
    sheet: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Of a prepared set: draw training clips of each class.")
    ] = None,
    redundancy: Annotated[
        bool,
        typer.Option(
            "--redundancy",
            help="Of a prepared set: measure how alike the training clips of each class are, and the frames of a clip. "
            "These are the axes of the paper's Figure 4.",
        ),
    ] = False,
    plot: Annotated[Path | None, typer.Option(metavar="PNG", help="With --redundancy: draw it, a dot a class.")] = None,
) -> None:
    """Say what a folder is, on one screen, or look into a prepared set: its clips, its redundancy.

    Example: idtd show prepared/ --sheet clips.png
    """
    from idtd_cli.stages import show as stage

    if plot and not redundancy:
        raise InputError("--plot draws what --redundancy measures.", "Add --redundancy.")
    if sheet:
        output.say(stage.sheet(path, sheet))
    if redundancy:
        output.say(stage.redundancy(path, plot, output.Terminal()))
    if not sheet and not redundancy:
        output.say(stage.run(path))
