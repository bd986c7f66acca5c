from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


def distill(
    prepared: options.PreparedArgument,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder to make, or to go on with.")],
    recipe: options.RecipeOption = None,
    set_: options.SetOption = None,
    seed: Annotated[int | None, typer.Option(help="Same as --set distill.seed=N.")] = None,
    device: options.DeviceOption = options.Device.auto,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
) -> None:
    """Distil a prepared set into a few synthetic videos a class.

    Example: idtd distill prepared/ runs/idtd --set distill.ipc=5
    """
    from idtd_cli.stages import distill as stage

    overrides = [*(set_ or []), *([f"distill.seed={seed}"] if seed is not None else [])]
    chosen = options.recipe(recipe, prepared, overrides)
    folder = stage.run(prepared, run, chosen, options.device(device), resume, output.Terminal())
    output.say(f"{run}: {folder.document.method}, {chosen.distill.ipc} videos a class. Next: idtd export {run} OUT")
