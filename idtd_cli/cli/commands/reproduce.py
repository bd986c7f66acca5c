from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idtd_cli.cli import options, output


def reproduce(
    context: typer.Context,
    recipe: options.RecipeOrOutArgument,
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="Folder for everything; run again to go on.")
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="OWNER/NAME",
            help="In place of a recipe, a set on the Hub that was published with a report; OWNER/NAME@REVISION names a "
            "branch, tag or commit of it.",
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Videos, as `idtd prepare` takes them. Default: the demo set.")
    ] = None,
    set_: options.SetOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AXIS=VALUE,...", help="Of a recipe with a grid, these cells alone: ipc=1,arm=NAME. Repeatable."
        ),
    ] = None,
    device: options.DeviceOption = options.Device.auto,
    json: Annotated[
        bool, typer.Option("--json", help="Print report.json, or table.json of a grid, and nothing else on stdout.")
    ] = False,
    endpoint: options.EndpointOption = None,
    max_gb: options.MaxGbOption = options.MAX_GB,
) -> None:
    """Run all stages for every method that a recipe names, or for every cell of its grid, and report.

    What is complete and unchanged is skipped. Figures that the recipe expects stand beside those that were found; one
    that is too far away ends the command with exit code 1.

    With --from, the set is there: its source is prepared anew, students are trained as its report says, and what they
    find is held against what was published. Exit code 1 says that chance does not explain the difference.

    Example: idtd reproduce demo demo/
    """
    from idtd_cli.errors import InputError

    if published is None:
        if out is None:
            raise InputError(
                f"`idtd reproduce {recipe}` lacks a word.", "Name RECIPE and OUT, or --from OWNER/NAME and OUT."
            )
        options.refuse(context, ("endpoint", "max_gb"), "without --from, nothing is taken from the Hub")
        _by_recipe(recipe, out, source, set_ or [], only or [], device, json)
        return
    if out is not None:
        raise InputError(f"A recipe and --from do not go together: {published} has its own.", f"Leave {recipe} out.")
    options.refuse(context, ("only",), "it chooses cells of a grid, and a published set has none")
    _from_the_hub(published, Path(recipe), source, set_ or [], device, json, endpoint, max_gb)


def _from_the_hub(
    name: str,
    out: Path,
    source: str | None,
    overrides: list[str],
    device: options.Device,
    json: bool,
    endpoint: str | None,
    max_gb: float,
) -> None:
    from idtd_cli.hub.client import Place
    from idtd_cli.stages import reproduce_set as stage

    done = stage.run(
        Place.parse(name), out, source, overrides, options.device(device), output.Terminal(), endpoint, max_gb
    )
    output.show_report(done.report, out / "report", json)
    output.show_published(done.compared)


def _by_recipe(
    recipe: str,
    out: Path,
    source: str | None,
    overrides: list[str],
    only: list[str],
    device: options.Device,
    json: bool,
) -> None:
    from idtd_cli.errors import InputError
    from idtd_cli.report import expectation
    from idtd_cli.stages import reproduce as stage
    from idtd_cli.stages import tabulate

    chosen, changed = options.recipe(recipe, None, overrides), bool(overrides)
    if chosen.has_grid:
        table = tabulate.run(chosen, only, out, source, options.device(device), output.Terminal())
        output.show_table(table, out, json)
        name = None if source is None else table.scored[0].source
        output.show_expected(expectation.in_table(chosen, name, table), changed)
        return
    if only:
        raise InputError(f"--only chooses cells of a grid, and the recipe {chosen.name} has none.", "Leave it out.")
    report = stage.run(chosen, out, source, options.device(device), output.Terminal())
    output.show_report(report, out / "report", json)
    name = None if source is None else report.source
    output.show_expected(expectation.in_report(chosen.expect, name, report), changed)
