from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


def plan(
    recipe: options.RecipeArgument,
    prepared: options.PreparedArgument,
    set_: options.SetOption = None,
    device: options.DeviceOption = options.Device.auto,
    experts: Annotated[
        Path | None, typer.Option(metavar="EXPERTS", help="As `idtd distill` takes them, where the recipe needs them.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Say what distilling and evaluating will take here: time, memory, disk. A few steps are run, and nothing is kept.

    Example: idtd plan demo prepared/ --set distill.steps=1000
    """
    from idtd_cli.stages import plan as stage

    chosen = options.recipe(recipe, None, set_)
    output.show_plan(stage.run(chosen, prepared, options.device(device), output.Terminal(), experts), json)
