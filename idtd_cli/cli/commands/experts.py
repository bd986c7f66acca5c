from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


def experts(
    prepared: options.PreparedArgument,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make, or to go on with.")],
    recipe: options.RecipeOption = None,
    set_: options.SetOption = None,
    device: options.DeviceOption = options.Device.auto,
) -> None:
    """Train networks on the real clips and keep how they came to be, for trajectory matching.

    Example: idtd experts prepared/ experts/
    """
    from idtd_cli.stages import experts as stage

    chosen = options.recipe(recipe, prepared, set_)
    document = stage.run(prepared, out, chosen, options.device(device), output.Terminal()).document
    check = document.check
    scored = f"; top-1 on validation {check.experts:.1%}, a student's {check.student:.1%}" if check else ""
    output.say(
        f"{out}: {document.config.count} experts, {document.config.snapshots} snapshots each{scored}. "
        f"Next: idtd distill {prepared} RUN --set distill.soft_labels.teachers={document.config.count} --experts {out}"
    )
