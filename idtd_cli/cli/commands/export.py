from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import output


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run of `idtd distill`.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
) -> None:
    """Write a run as a distilled set: lossless clips, WebDataset shards, and MP4s to look at; each is read back.

    Example: idtd export runs/idtd sets/idtd
    """
    from idtd_cli.stages import export as stage

    document = stage.run(run, out, output.Terminal())
    output.say(
        f"{out}: {document.stored_frames} frames, {document.videos_a_class} videos a class of "
        f"{len(document.classes)} classes. "
        f"Next: idtd evaluate {out} --on PREPARED --out OUT"
    )
