from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


def prepare(
    context: typer.Context,
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
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that decode; one a core by default. Same as --set prepare.decode.workers=N."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(help="For a trial: this many videos of each class and split. Same as --set prepare.limit=N."),
    ] = None,
    engine: Annotated[
        options.Engine | None, typer.Option(help="Where the processes run. Same as --set prepare.decode.engine=E.")
    ] = None,
    download: Annotated[
        bool,
        typer.Option(
            "--download",
            help="First fetch what is missing from its owner, for ucf101:PLACE, miniucf:PLACE and hmdb51:PLACE: the "
            "videos to PLACE, the archives and the lists beside it. Says sizes and terms.",
        ),
    ] = False,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="With --download: you accept the owner's terms.")
    ] = False,
) -> None:
    """Decode a labelled video set into clips of one size, split into train, validation and test.

    A run that was stopped goes on with the same command.

    Example: idtd prepare videos/ prepared/ --recipe demo
    """
    from idtd_cli.stages import prepare as stage

    if download:
        from idtd_cli.sources.download import fetch, offered

        fetch(*offered(source), accepted=accept_licence, progress=output.Terminal())
    else:
        options.refuse(context, ("accept_licence",), "without --download, nothing is fetched")
    asked = {"decode.workers": workers, "limit": limit, "decode.engine": engine.value if engine else None}
    overrides = [f"prepare.{key}={value}" for key, value in asked.items() if value is not None]
    chosen = options.recipe(recipe, None, [*(set_ or []), *overrides])
    document = stage.run(source, out, chosen, output.Terminal())
    counts = ", ".join(f"{sum(of.values())} {split}" for split, of in document.counts.items())
    output.say(
        f"{out}: {len(document.classes)} classes, {counts}; {document.rejected} rejected, {document.missing} missing."
    )
    if document.rejected or document.missing:
        output.say(f"{out / 'rejects.csv'} says why.")
