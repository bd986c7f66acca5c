from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


def prepare(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="KIND:PLACE, as in ucf101:/data/UCF-101, or a path whose kind is guessed: a folder CLASS/VIDEO, a CSV "
            "with the columns path,label[,split], … `idtd sources` lists the kinds.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    recipe: options.RecipeOption = None,
    set_: options.SetOption = None,
) -> None:
    """Decode a labelled video set into clips of one size, split into train, validation and test.

    Example: idtd prepare videos/ prepared/ --recipe demo
    """
    from idtd_cli.stages import prepare as stage

    document = stage.run(source, out, options.recipe(recipe, None, set_), output.Terminal())
    counts = ", ".join(f"{sum(of.values())} {split}" for split, of in document.counts.items())
    output.say(f"{out}: {len(document.classes)} classes, {counts}; {document.rejected} rejected.")
    if document.rejected:
        output.say(f"{out / 'rejects.csv'} says why.")
