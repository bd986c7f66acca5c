"""The options that several commands share, each worded once."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from idtd_cli.errors import InputError
from idtd_cli.hub.client import MAX_GB as MAX_GB

if TYPE_CHECKING:
    from idtd_cli.recipe import Recipe


class Device(str, Enum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Engine(str, Enum):
    local = "local"
    ray = "ray"


def _recipes(incomplete: str) -> list[str]:
    """What the TAB key offers for a recipe; shells add the files that there are."""
    from idtd_cli.recipe import shipped

    return [name for name in shipped() if name.startswith(incomplete)]


RecipeArgument = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A YAML file or the name of a shipped recipe.", autocompletion=_recipes),
]
RecipeOrOutArgument = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A YAML file or the name of a shipped recipe; with --from there is none.",
        autocompletion=_recipes,
    ),
]
RecipeOption = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="R",
        autocompletion=_recipes,
        help="A recipe: the path of a YAML file or the name of a shipped one. Default: the one that the input was made "
        "with; for prepare, demo.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Change one key of the recipe, for example distill.ipc=5. Repeatable."),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to compute; auto takes a GPU if there is one.")]
PreparedArgument = Annotated[Path, typer.Argument(metavar="PREPARED", help="A folder made by `idtd prepare`.")]

HubArgument = Annotated[
    str,
    typer.Argument(
        metavar="OWNER/NAME",
        help="A dataset on the Hugging Face Hub; OWNER/NAME@REVISION names a branch, tag or commit of it.",
    ),
]
EndpointOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Address of the Hub. Default: HF_ENDPOINT, else the public one.")
]
MaxGbOption = Annotated[float, typer.Option("--max-gb", help="A set on the Hub that is larger is refused.")]


def recipe(asked: str | None, made_with: Path | None, overrides: list[str] | None) -> Recipe:
    """The recipe to run: the one asked for, else the one stored in the input folder, else demo; then the overrides."""
    from idtd_cli.recipe import load

    stored = made_with / "recipe.yaml" if made_with else None
    return load(asked or (stored if stored and stored.is_file() else "demo"), overrides or [])


def device(asked: Device) -> str:
    """`cpu` or `cuda`."""
    from idtd_cli.provenance import resolve_device

    return resolve_device(asked.value)


def refuse(context: typer.Context, names: Collection[str], why: str) -> None:
    """End a command that was given an option which means nothing in this use of it.

    Args:
        context: of the command.
        names: the options, as the parameters of the function are called.
        why: they mean nothing: "the set is a folder on this machine".

    Raises:
        InputError: one of them was given, be it with the value that it has by default.
    """
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is not None and source.name == "COMMANDLINE":
            option = parameter.opts[0]
            raise InputError(f"{option} means nothing here: {why}.", "Leave it out.")
