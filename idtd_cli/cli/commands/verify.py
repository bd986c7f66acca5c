from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


def verify(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="SET", help="A distilled set: a folder, or OWNER/NAME[@REVISION] on the Hugging Face Hub."
        ),
    ],
    endpoint: options.EndpointOption = None,
    max_gb: options.MaxGbOption = options.MAX_GB,
) -> None:
    """Check a distilled set: every checksum, every clip and label, and that there is nothing else in it.

    Example: idtd verify sets/idtd
    """
    from idtd_cli.stages import verify as stage

    if Path(what).exists():
        options.refuse(context, ("endpoint", "max_gb"), "the set is a folder on this machine")
    for line in stage.run(what, endpoint, output.Terminal(), max_gb):
        output.say(f"{line}.")
    output.say(f"{what} is what it promises to be.")
