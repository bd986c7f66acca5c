from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


def reproduce(
    recipe: options.RecipeArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for everything; run again to go on.")],
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Videos, as `idtd prepare` takes them. Default: the demo set.")
    ] = None,
    set_: options.SetOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS=VALUE,...", help="Of a recipe with a grid, these cells alone: ipc=1,arm=NAME. Repeatable."
        ),
    ] = None,
    device: options.DeviceOption = options.Device.auto,
    json: Annotated[
        bool, typer.Option("--json", help="Print report.json, or table.json of a grid, and nothing else on stdout.")
    ] = False,
) -> None:
    """Run all stages for every method that a recipe names, or for every cell of its grid, and report.

    What is complete and unchanged is skipped. Figures that the recipe expects stand beside those that were found; one
    that is too far away ends the command with exit code 1.

    Example: idtd reproduce demo demo/
    """
    from idtd_cli.errors import InputError
    from idtd_cli.report import expectation
    from idtd_cli.stages import reproduce as stage
    from idtd_cli.stages import tabulate

    chosen = options.recipe(recipe, None, set_)
    if chosen.has_grid:
        table = tabulate.run(chosen, only or [], out, source, options.device(device), output.Terminal())
        output.show_table(table, out, json)
        output.show_expected(
            expectation.in_table(chosen, None if source is None else table.scored[0].source, table), changed=bool(set_)
        )
        return
    if only:
        raise InputError(f"--only chooses cells of a grid, and the recipe {chosen.name} has none.", "Leave it out.")
    report = stage.run(chosen, out, source, options.device(device), output.Terminal())
    output.show_report(report, out / "report", json)
    output.show_expected(
        expectation.in_report(chosen.expect, None if source is None else report.source, report), changed=bool(set_)
    )
