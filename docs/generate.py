"""Writes the pages that follow from the code: commands.md from the command line, recipes.md from the recipe models,
sources.md from the kinds of source, python.md from the names that `idtd_cli` offers and what they give; and the
sentences in troubleshooting.md from the places that make errors.

    python docs/generate.py           writes them
    python docs/generate.py --check   exits 1 and names those that are stale

All are made from signatures and fields, not from captured help: they are the same on every terminal and version.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import sentences
from pydantic.fields import FieldInfo
from typer import Context
from typer.models import ArgumentInfo

import idtd_cli
from idtd_cli import errors, recipe
from idtd_cli.cli.app import app
from idtd_cli.distilled import SetDocument
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.sources.registry import KINDS
from idtd_cli.training_set import TrainingSet

DOCS = Path(__file__).parent
_TROUBLE = DOCS / "troubleshooting.md"  # written by hand but for what stands between its marks
_NOTE = "<!-- Written by docs/generate.py; do not edit. -->"
_TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}
_SHIPPED = (
    "They are in the folder `recipes/`. `idtd reproduce NAME OUT` runs one on the demo set, and with `--source` on "
    "videos of yours; those in `paper/` say which videos they are for. A protocol, `protocols/NAME`, is also what "
    "`idtd evaluate --protocol NAME` takes. `idtd recipes` says what each takes."
)
_LIMITS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}", "min_length": "{} or more"}


def main() -> None:
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit("usage: python docs/generate.py [--check]")
    if sys.argv[1:]:
        names = stale()
        sys.exit(f"stale: {', '.join(names)}; run `python docs/generate.py`" if names else 0)
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8", newline="\n")


def pages() -> dict[str, str]:
    """File name → text of every generated page."""
    return {
        "commands.md": _commands_page(),
        "recipes.md": _recipes_page(),
        "sources.md": _sources_page(),
        "python.md": _python_page(),
        _TROUBLE.name: sentences.page(_TROUBLE.read_text(encoding="utf-8")),
    }


def stale() -> list[str]:
    """The generated pages whose file is missing or is not what the code says now."""
    written = {path.name: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
    return [name for name, text in pages().items() if written.get(name) != text]


@dataclass(frozen=True)
class Parameter:
    """An argument or an option of a command."""

    name: str  #: as it is typed, `--recipe`; the placeholder of an argument
    is_option: bool
    required: bool
    value: str  #: what it takes, in words; empty for a flag
    default: str
    help: str


def commands() -> dict[str, Callable[..., None]]:
    """Name → function of every command, in the order of the flow."""
    return {str(info.name): info.callback for info in app.registered_commands if info.callback}


def parameters(command: Callable[..., None]) -> Iterator[Parameter]:
    """The arguments and options of a command, in order."""
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.annotation is Context:
            continue  # nothing that is typed
        annotation, info = get_args(parameter.annotation)
        is_option = not isinstance(info, ArgumentInfo)
        # What stands first in typer.Option("--set") is its default until Typer finds it in an Annotated.
        given = [name for name in (info.default, *(info.param_decls or ())) if str(name).startswith("--")]
        option = given[0] if given else "--" + parameter.name.replace("_", "-")
        default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
        yield Parameter(
            name=option if is_option else info.metavar or parameter.name.upper(),
            is_option=is_option,
            required=default is inspect.Parameter.empty,
            value=_taken(annotation, info.metavar),
            default="" if default is None or default is False else f"`{default}`",
            help=info.help or "",
        )


def summary_and_example(command: Callable[..., None]) -> tuple[str, str]:
    """A command's docstring: what it does, and the command line after `Example:`."""
    summary, _, example = inspect.cleandoc(command.__doc__ or "").partition("\n\nExample: ")
    return summary, example


def _taken(annotation: Any, metavar: str | None) -> str:
    if annotation is bool:
        return ""
    if metavar:
        return f"`{metavar}`"
    [kind] = [each for each in get_args(annotation) or (annotation,) if each is not NoneType]
    if issubclass(kind, Enum):
        return _either(member.value for member in kind)
    return _TYPES[kind]


def _commands_page() -> str:
    parts = [
        "# Commands",
        _NOTE,
        app.info.help or "",
        "Results go to stdout, everything else to stderr. The exit code is 0 when done, 2 for wrong usage or input, 1 "
        "for a run that failed, 130 when stopped; [troubleshooting.md](troubleshooting.md) has every error. "
        "`IDTD_DEBUG=1` shows where one came from. `idtd --version` prints the version. `idtd --install-completion` "
        "lets the TAB key complete commands, options, recipes and other values in bash, zsh, fish and PowerShell.",
    ]
    for name, command in commands().items():
        summary, example = summary_and_example(command)
        both = list(parameters(command))
        arguments, options = [p for p in both if not p.is_option], [p for p in both if p.is_option]
        needed = [f"{p.name} {p.value.strip('`')}" for p in options if p.required]
        optional = ["[OPTIONS]"] if len(options) > len(needed) else []
        usage = " ".join(["idtd", name, *(p.name for p in arguments), *needed, *optional])
        parts += [f"## idtd {name}", summary, f"```text\n{usage}\n```"]
        if arguments:
            parts.append(_table(("Argument", "Meaning"), [(f"`{p.name}`", p.help) for p in arguments]))
        rows = [
            (f"`{p.name}`", p.value or "flag", "required" if p.required else p.default or "–", p.help) for p in options
        ]
        if rows:
            parts.append(_table(("Option", "Value", "Default", "Meaning"), rows))
        parts += ["Example:", f"```\n{example}\n```"]
    return _page(parts)


@dataclass(frozen=True)
class Key:
    """A key of a recipe that holds a value."""

    name: str  #: dotted, as `--set` takes it
    field: FieldInfo
    default: Any


@dataclass(frozen=True)
class Part:
    """A section of a recipe, and the keys that stand in it directly."""

    name: str  #: dotted; empty for the recipe as a whole
    about: str
    keys: list[Key]


def parts_of_a_recipe(
    section: type[recipe.Section] = recipe.Recipe, default: recipe.Section | None = None, prefix: str = ""
) -> Iterator[Part]:
    """A section and every section within, from the top down."""
    part = Part(prefix.rstrip("."), inspect.cleandoc(section.__doc__ or ""), [])
    within = []
    for name, field in section.model_fields.items():
        value = getattr(default, name) if default else field.default
        if isinstance(value, recipe.Section):
            within.append(parts_of_a_recipe(type(value), value, f"{prefix}{name}."))
        elif get_origin(field.annotation) is tuple and _is_section(get_args(field.annotation)[0]):
            within.append(parts_of_a_recipe(get_args(field.annotation)[0], None, f"{prefix}{name}[]."))
        else:
            part.keys.append(Key(prefix + name, field, value))
    yield part
    yield from chain.from_iterable(within)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, recipe.Section)


def _recipes_page() -> str:
    parts = [
        "# Recipes",
        _NOTE,
        "A recipe is one YAML file with everything that decides a result; it is stored with what it made. A key that "
        "is left out has the default below. `--set a.b=value` changes one key, with the value in YAML: `--set "
        "distill.steps=1000`, `--set 'evaluate.student.widths=[32, 64]'`. `--recipe` takes the path of a file or the "
        "name of a recipe that comes with idtd. A file with `base: RECIPE`, a name or a path from its own folder, says "
        "only what differs from that one; what is stored with a result is always complete.",
    ]
    for part in parts_of_a_recipe():
        heading = f"{'#' * (2 + part.name.count('.'))} {part.name}" if part.name else "## The top level"
        parts += [heading, part.about]
        rows = [(f"`{k.name}`", _kind(k.field), _default(k), k.field.description or "") for k in part.keys]
        if rows:
            parts.append(_table(("Key", "Value", "Default", "Meaning"), rows))
    parts += ["## The recipes that come with idtd", _SHIPPED]
    for name, path in recipe.shipped().items():
        shipped = recipe.load(path)
        text = path.read_text(encoding="utf-8").rstrip()
        parts += [f"### {name}", shipped.description, f"```yaml\n{text}\n```"]
    return _page(parts)


def _sources_page() -> str:
    parts = [
        "# Sources",
        _NOTE,
        "Where labelled videos come from. `idtd prepare` takes `KIND:PLACE`, as in `ucf101:/data/UCF-101`, or a path, "
        "which is taken for the first of these kinds that it looks like. `idtd sources` prints this list.",
    ]
    for name, kind in KINDS.items():
        parts += [f"## {name}", f"```text\n{kind.EXPECTS}\n```"]
    return _page(parts)


def _python_page() -> str:
    """The functions of the package, the classes that they give, and the errors that they raise."""
    parts = [
        "# Python API",
        _NOTE,
        "To train on a distilled set from your own program; [Train on a distilled set](using.md) shows how. Shapes "
        "are suffixes of names: B items, N videos, K pieces of a video, C colours, or classes after `scores` and "
        "`logits`, T frames, H×W pixels. The rest of the package is the inside of the commands, and may change.",
    ]
    for name in idtd_cli.__all__:
        if inspect.isfunction(function := getattr(idtd_cli, name)):
            parts += _callable_parts(f"## idtd_cli.{name}", function)
    for kind in (TrainingSet, Normalisation):
        parts += [f"## {kind.__name__}", *_docstring_parts(kind.__doc__ or "")]
        for name, method in vars(kind).items():
            if inspect.isfunction(method) and not name.startswith("_"):
                parts += _callable_parts(f"### {kind.__name__}.{name}", method)
    rows = [(f"`{name}`", field.description or "") for name, field in SetDocument.model_fields.items()]
    parts += ["## SetDocument", *_docstring_parts(SetDocument.__doc__ or ""), _table(("Attribute", "Meaning"), rows)]
    parts.append("## Errors")
    for error in (errors.IdtdError, errors.InputError):
        name = f"{error.__module__}.{error.__name__}({error.__bases__[0].__name__})"
        parts.append(f"`{name}`: {inspect.cleandoc(error.__doc__ or '')}")
    return _page(parts)


class _AsWritten(str):
    """An annotation that a signature shows without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _callable_parts(heading: str, function: Callable[..., Any]) -> list[str]:
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=_AsWritten(parameter.annotation))
        for name, parameter in signature.parameters.items()
        if name != "self"
    ]
    shown = signature.replace(parameters=parameters, return_annotation=_AsWritten(signature.return_annotation))
    return [heading, f"```python\n{function.__name__}{shown}\n```", *_docstring_parts(function.__doc__ or "")]


def _docstring_parts(docstring: str) -> Iterator[str]:
    """Paragraphs; `Args:` and its like, with a list of what is indented below."""
    for paragraph in inspect.cleandoc(docstring).split("\n\n"):
        title, _, below = paragraph.partition(":\n")
        if not below.startswith("    "):
            yield paragraph
            continue
        entries = re.split(r"\n(?! )", textwrap.dedent(below))
        named = (re.sub(r"\s+", " ", entry).partition(": ") for entry in entries)
        yield f"{title}:\n\n" + "\n".join(f"- `{name}`: {meaning}" for name, _, meaning in named)


def _kind(field: FieldInfo) -> str:
    return ", ".join([_annotated(field.annotation), *_limits(field.metadata)])


def _limits(metadata: Iterable[Any]) -> list[str]:
    return [
        words.format(getattr(limit, name))
        for limit in metadata
        for name, words in _LIMITS.items()
        if hasattr(limit, name)
    ]


def _annotated(annotation: Any) -> str:
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        limits = [limit for info in inner[1:] for limit in _limits(info.metadata)]
        return ", ".join([_annotated(inner[0]), *limits])
    if get_origin(annotation) is Literal:
        return _either(inner)
    if get_origin(annotation) is dict:
        return "mapping"
    if inner and inner[-1] is type(None):
        return f"{_annotated(inner[0])} or null"
    if get_origin(annotation) is tuple:
        count = "" if inner[-1] is Ellipsis else f" of {len(inner)}"
        return f"list{count}: {_annotated(inner[0])}"
    return _TYPES[annotation]


def _default(key: Key) -> str:
    if key.field.is_required():
        return "required"
    return f"`{key.default}`" if isinstance(key.default, str) and key.default else f"`{json.dumps(key.default)}`"


def _either(values: Any) -> str:
    *others, last = (f"`{value}`" for value in values)
    return f"{', '.join(others)} or {last}" if others else last


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _page(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    main()
