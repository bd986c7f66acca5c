from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


class Payload(str, Enum):
    video = "video"
    tensor = "tensor"


class Form(str, Enum):
    ddranking = "ddranking"
    tensors = "tensors"
    frames = "frames"


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run of `idtd distill`.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    payload: Annotated[
        Payload | None,
        typer.Option(
            help="What the shards hold clips as: lossless MP4, or safetensors, smaller where clips are like noise. "
            "Default: as the run's recipe says (export.payload)."
        ),
    ] = None,
    shard_size: Annotated[
        float | None,
        typer.Option(
            metavar="MB", min=0.001, help="Megabytes of a shard at most. Default: as the run's recipe says, 1000."
        ),
    ] = None,
    also: Annotated[
        list[Form] | None,
        typer.Option(
            metavar="FORM",
            help="Write it for other programs as well, into OUT-FORM: tensors (.pt, as the video methods keep them), "
            "ddranking (.pt, each frame an image), frames (class folders of numbered PNGs). Repeatable.",
        ),
    ] = None,
) -> None:
    """Write a run as a distilled set: WebDataset shards, MP4s and pictures to look at; all clips are read back.

    Example: idtd export runs/idtd sets/idtd
    """
    from idtd_cli.stages import export as stage

    asked = {"payload": payload.value if payload else None, "shard_mb": shard_size}
    config = options.recipe(None, run, [f"export.{key}={value}" for key, value in asked.items() if value is not None])
    document = stage.run(run, out, config.export, output.Terminal(), [form.value for form in also or ()])
    output.say(
        f"{out}: {document.stored_frames} frames, {document.videos_a_class} videos a class of "
        f"{len(document.classes)} classes. "
        f"Next: idtd evaluate {out} --on PREPARED --out OUT"
    )
