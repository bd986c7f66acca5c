from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import output


def show(path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder made by any command.")]) -> None:
    """Say what a folder is, on one screen.

    Example: idtd show sets/idtd
    """
    from idtd_cli.stages import show as stage

    output.say(stage.run(path))
