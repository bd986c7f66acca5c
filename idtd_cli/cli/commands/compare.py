from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import output


def compare(
    reports: Annotated[list[Path], typer.Argument(metavar="REPORT...", help="Folders made by `idtd evaluate`.")],
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Put several reports into one table, if they were measured alike.

    Example: idtd compare report/ other-report/
    """
    from idtd_cli.stages import compare as stage

    output.show_comparison(stage.run(reports), json)
