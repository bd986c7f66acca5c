from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import output
from idtd_cli.demo import defaults


def demo_data(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make.")],
    classes: Annotated[int, typer.Option(help="Motion classes.")] = defaults.CLASSES,
    train: Annotated[int, typer.Option(help="Training videos a class.")] = defaults.TRAIN,
    test: Annotated[int, typer.Option(help="Test videos a class.")] = defaults.TEST,
    size: Annotated[int, typer.Option(help="Height and width, pixels.")] = defaults.SIZE,
    frames: Annotated[int, typer.Option(help="Frames a video.")] = defaults.FRAMES,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = defaults.SEED,
) -> None:
    """Write a labelled set of made-up MP4 videos whose class is their motion alone.

    Example: idtd demo-data demo/data
    """
    from idtd_cli.stages import demo_data as stage

    stage.run(
        out,
        classes=classes,
        train=train,
        test=test,
        size=size,
        frames=frames,
        seed=seed,
        progress=output.Terminal(),
    )
    output.say(f"{out}: {classes} classes, {train} training and {test} test videos each.")
