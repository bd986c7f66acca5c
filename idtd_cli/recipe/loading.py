"""Reading recipes: by path or by name, with their bases, protocols and overrides."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from idtd_cli.errors import InputError
from idtd_cli.recipe.evaluate import EvaluateConfig
from idtd_cli.recipe.keys import Loader, merged, put
from idtd_cli.recipe.whole import Recipe, in_words

_SUFFIXES = (".yaml", ".yml")
#: Errors of a recipe that are named at once; a list of a thousand wrong values has as many.
_MOST_PROBLEMS = 50
#: What a recipe never has of its base.
_OWN = ("name", "description", "cost", "grid", "expect")


def shipped() -> dict[str, Path]:
    """The recipes that come with idtd, by name: beside the package in a checkout, inside it when installed."""
    package = Path(__file__).parents[1]
    folder = next((f for f in (package / "recipes", package.parent / "recipes") if f.is_dir()), None)
    return {_name_in(folder, path): path for path in sorted(folder.rglob("*.yaml"))} if folder else {}


def _name_in(folder: Path, path: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def protocols() -> dict[str, Path]:
    """The shipped recipes whose section `evaluate` is a protocol with a name, by that name."""
    head = "protocols/"
    return {name.removeprefix(head): path for name, path in shipped().items() if name.startswith(head)}


def protocol(name: str) -> dict[str, Any]:
    """The keys of a recipe's section `evaluate` that a shipped protocol fixes.

    Raises:
        InputError: there is none of this name.
    """
    there = protocols()
    if name not in there:
        raise InputError(f"There is no protocol {name}.", f"There are {', '.join(there)}.")
    section: dict[str, Any] = _read(there[name])[1]["evaluate"]
    return section


def followed(config: EvaluateConfig) -> list[str]:
    """The names of the shipped protocols that a section `evaluate` keeps to in every key that they fix."""
    content = config.model_dump(mode="json")
    return [name for name in protocols() if merged(content, protocol(name)) == content]


def load(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by path or by the name of a shipped one, and apply overrides `a.b=value`.

    Where the file names a `base`, another recipe by path (from its own folder) or name, it says only what is different
    from it; a name, a description, a cost and what is expected are always its own, and so is a grid, unless it says
    `grid: base`. Where its section
    `evaluate`, or an override, names a `protocol`, a shipped one, that gives the keys that it has; those of the file,
    and later overrides, come after it.

    Raises:
        InputError: no such recipe, not YAML, or keys and values that do not fit; all of them are named at once.
    """
    path, content = _layered(source)
    for override in overrides:
        if override.startswith("evaluate.protocol="):
            content = merged(content, {"evaluate": protocol(override.partition("=")[2])})
        else:
            _apply(content, override)
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        errors = error.errors()
        problems = [in_words(item) for item in errors[:_MOST_PROBLEMS]]
        if len(errors) > len(problems):
            problems.append(f"and {len(errors) - len(problems)} more")
        count = f"{len(errors)} errors" if len(errors) > 1 else "an error"
        listed = "\n".join(f"  {problem}" for problem in problems)
        blamed = " ".join(f"--set {override}" for override in overrides if _is_of(override, errors))
        with_them = f" with {blamed}" if blamed else ""
        raise InputError(f"{path}{with_them} has {count}:\n{listed}\n", "docs/recipes.md lists every key.") from error
    if recipe.has_grid:
        recipe.cells()
    return recipe


def _is_of(override: str, errors: Sequence[Any]) -> bool:
    """Whether an override may be what one of these errors is about: a key, its section, or a key in it."""
    own = override.partition("=")[0].split(".")
    places = ([str(part) for part in error["loc"]] for error in errors)
    return any(place[: len(own)] == own[: len(place)] for place in places if place)


def _layered(source: str | Path, children: tuple[Path, ...] = ()) -> tuple[Path, dict[str, Any]]:
    """The file of a recipe, and what it says on top of its base, which may have one as well."""
    path, content = _read(source, children[-1] if children else None)
    if path in children:
        raise InputError(f"{path} is its own base, by way of {children[-1]}.", "Name another base.")
    section = content.get("evaluate")
    if isinstance(section, dict) and "protocol" in section:
        own_keys = {key: value for key, value in section.items() if key != "protocol"}
        content["evaluate"] = merged(protocol(str(section["protocol"])), own_keys)
    if "base" not in content:
        return path, content
    base = str(content.pop("base"))
    _, below = _layered(path.parent / base if Path(base).suffix in _SUFFIXES else base, (*children, path))
    if content.get("grid") == "base":
        content["grid"] = below.get("grid", {})
    return path, merged({key: value for key, value in below.items() if key not in _OWN}, content)


def _read(source: str | Path, child: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """The file of a recipe, which may be the base of another, and what it says."""
    path = Path(source) if Path(source).suffix in _SUFFIXES else shipped().get(str(source))
    if path is None or not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a name that is too long
        names = ", ".join(shipped())
        whose = f", the base of {child}" if child else ""
        near = difflib.get_close_matches(str(source), shipped(), n=1)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise InputError(
            f"There is no recipe {source}{whose}.", f"{meant}Give the path of a YAML file, or one of: {names}."
        )
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not readable as YAML: {' '.join(str(error).split())}.",
            "Mend that place; docs/recipes.md has examples.",
        ) from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path} holds no recipe: its top level must be keys and values.", "docs/recipes.md has examples."
        )
    return path, content


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError(f"--set {override} is not of the form a.b=value.", "For example --set distill.ipc=5.")
    try:
        value = yaml.load(text, Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(
            f"--set {override}: the value is not readable as YAML.", "Quote it, as in --set 'a.b=[1, 2]'."
        ) from error
    try:
        put(content, key, value)
    except ValueError as error:
        raise InputError(f"--set {override}: {error}.", "docs/recipes.md lists every key.") from error
