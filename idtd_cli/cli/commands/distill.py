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
    experts: Annotated[
        Path | None,
        typer.Option(
            metavar="EXPERTS", help="Folder made by `idtd experts`, for matching mtt, network_snapshots or soft_labels."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write event files for TensorBoard as well, to RUN/tensorboard.")
    ] = False,
) -> None:
    """Distil a prepared set into a few synthetic videos a class.

    Several GPUs share the work under torchrun: `torchrun --nproc-per-node 4 -m idtd_cli distill PREPARED RUN`.

    Example: idtd distill prepared/ runs/idtd --set distill.ipc=5
    """
    from idtd_cli import ranks
    from idtd_cli.runlog import Quiet
    from idtd_cli.stages import distill as stage

    overrides = [*(set_ or []), *([f"distill.seed={seed}"] if seed is not None else [])]
    with ranks.started() as those:
        chosen = options.recipe(recipe, prepared, overrides)
        progress = output.Terminal() if those.first else Quiet()
        stage.run(prepared, run, chosen, options.device(device), resume, progress, experts, tensorboard, those)
        if those.first:
            made = f"{chosen.distill.method}, {chosen.distill.videos_a_class} videos a class"
            output.say(f"{run}: {made}. Next: idtd export {run} OUT")
