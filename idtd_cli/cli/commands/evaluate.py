from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


def evaluate(
    sets: Annotated[
        list[str],
        typer.Argument(
            metavar="SET...",
            help="Folders made by `idtd export`, or sets of other tools: import:CLIPS.pt, prepared:DIR, or videos as "
            "`idtd prepare` takes them, folder:DIR or webdataset:DIR.",
        ),
    ],
    on: Annotated[Path, typer.Option(metavar="PREPARED", help="The prepared set to score on.")],
    out: Annotated[Path, typer.Option(metavar="OUT", help="Folder for the report.")],
    recipe: options.RecipeOption = None,
    set_: options.SetOption = None,
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="A named protocol, whose keys come before those of --set.")
    ] = None,
    students: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Further architectures, with commas between, or `all`: evaluate.across."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Same as --set evaluate.students=N.")] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Students that are trained at a time; by default one, and on a Ray cluster as many as there is room "
            "for. Same as --set evaluate.workers=N."
        ),
    ] = None,
    engine: Annotated[
        options.Engine | None, typer.Option(help="Where students are trained. Same as --set evaluate.engine=E.")
    ] = None,
    device: options.DeviceOption = options.Device.auto,
    json: Annotated[bool, typer.Option("--json", help="Print report.json and nothing else on stdout.")] = False,
) -> None:
    """Train students from scratch on each set, on random real clips and on the full data, and score them.

    Example: idtd evaluate sets/idtd sets/pixel --on prepared/ --out report/
    """
    from idtd_cli.stages import evaluate as stage
    from idtd_cli.students.registry import STUDENTS

    named = [f"evaluate.protocol={protocol}"] if protocol is not None else []
    asked = {"students": seeds, "workers": workers, "engine": engine.value if engine else None}
    overrides = [
        *named,
        *(set_ or []),
        *(f"evaluate.{key}={value}" for key, value in asked.items() if value is not None),
    ]
    chosen = options.recipe(recipe, on, overrides)
    if students is not None:
        names = [name for name in STUDENTS if name != chosen.evaluate.student.name] if students == "all" else [students]
        chosen = options.recipe(recipe, on, [*overrides, f"evaluate.across=[{','.join(names)}]"])
    report = stage.run(sets, on, out, chosen, options.device(device), output.Terminal())
    output.show_report(report, out, json)
