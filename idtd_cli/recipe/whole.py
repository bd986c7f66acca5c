"""A whole recipe, and the cells of its grid."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from idtd_cli.errors import InputError
from idtd_cli.recipe.distill import DistillConfig, Method
from idtd_cli.recipe.evaluate import EvaluateConfig, scoring_problem
from idtd_cli.recipe.experts import ExpertsConfig
from idtd_cli.recipe.export import ExportConfig
from idtd_cli.recipe.grid import Changes, Expectation, GridConfig
from idtd_cli.recipe.keys import put
from idtd_cli.recipe.prepare import PrepareConfig
from idtd_cli.recipe.section import Section, section_digest

#: Keys of other sections that one may have meant.
_MOST_NEAR = 3
_MOST_CELLS, _MOST_DISTILLATIONS = 1000, 10_000


@dataclass(frozen=True)
class Cell:
    """One cell of a grid."""

    arm: str
    place: dict[str, str]  #: axis → the name of its value here
    heading: str  #: the place, for people
    recipes: tuple[Recipe, ...]  #: complete, one for each distillation; they differ in distill.seed alone

    def __str__(self) -> str:
        return f"{self.arm}, {self.heading}" if self.place else self.arm


class Recipe(Section):
    """A whole recipe."""

    name: str = Field(description="names runs and reports")
    description: str = Field("", description="what it is for, one sentence")
    cost: str = Field("", description="what it takes and on what, measured; else `not measured yet`")
    methods: tuple[Method, ...] = Field(("idtd", "pixel"), min_length=1, description="what `idtd reproduce` distils")
    prepare: PrepareConfig = PrepareConfig()
    experts: ExpertsConfig = ExpertsConfig()
    distill: DistillConfig = DistillConfig()
    export: ExportConfig = ExportConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    # Left out of what is stored: no digest depends on the table that a result is for.
    grid: GridConfig = Field(GridConfig(), exclude=True)
    expect: tuple[Expectation, ...] = Field(
        (), exclude=True, description="figures that `idtd reproduce` compares with what it finds"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Recipe:
        if len(set(self.methods)) < len(self.methods):
            raise ValueError(f"methods names one twice: {', '.join(self.methods)}")
        if problem := scoring_problem(self.evaluate.scoring, self.prepare.clip):
            raise ValueError(problem)
        for each in self.expect:
            axes = {self.grid.short(axis): values for axis, values in self.grid.axes.items()}
            known = {*self.arms, "random", "full"} if self.has_grid else {*self.methods, "random", "full"}
            if each.of not in known or any(value not in axes.get(axis, {}) for axis, value in each.at.items()):
                raise ValueError(f"expect names {each.of} at {each.at or 'no place'}, which the recipe does not have")
        if "redundancy" in self.grid.figures and len(self.arms) < 2:
            raise ValueError("the figure redundancy compares the first arm with the second, and there is one")
        self._need_whole_pieces()
        return self

    def _need_whole_pieces(self) -> None:
        """
        Raises:
            ValueError: a video is not made of whole segments, or has frames that no network would ever see.
        """
        clip_frames = self.prepare.clip.frames
        frames = self.distill.video_frames(clip_frames)
        if frames % clip_frames:
            raise ValueError(f"distill.frames ({frames}) is no multiple of prepare.clip.frames ({clip_frames})")
        length = f"{'distill.frames' if self.distill.frames else 'prepare.clip.frames'} ({frames})"
        for name in ("idtd", "pixel"):
            segments = getattr(self.distill, name).segments
            if frames % segments:
                raise ValueError(f"{length} is no multiple of distill.{name}.segments ({segments})")
        if frames > clip_frames * (segments := self.distill.segments(clip_frames)):
            raise ValueError(
                f"a segment has {frames // segments} frames, and networks see {clip_frames} (prepare.clip.frames): "
                f"raise distill.{self.distill.method}.segments ({segments}) to {frames // clip_frames} or more"
            )

    def to_yaml(self) -> str:
        """The resolved recipe: every key with its value."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def digest(self) -> str:
        return section_digest(self)

    @property
    def has_grid(self) -> bool:
        return self.grid != GridConfig()

    @property
    def arms(self) -> dict[str, Changes]:
        """The rows of the grid."""
        return self.grid.arms or {method: {"distill.method": method} for method in self.methods}

    def cells(self) -> list[Cell]:
        """All cells of the grid, column by column.

        Raises:
            InputError: a change of a cell names no key, or gives it a value that does not fit; the cell is named.
        """
        axes = self.grid.axes
        if (count := math.prod(map(len, [self.arms, *axes.values()]))) > _MOST_CELLS:
            raise InputError(
                f"The grid of the recipe {self.name} has {count} cells; {_MOST_CELLS} is the most.",
                "Take values off its axes, or make several recipes of it.",
            )
        if (runs := count * self.grid.seeds) > _MOST_DISTILLATIONS:
            raise InputError(
                f"The grid of the recipe {self.name} asks for {runs} distillations; {_MOST_DISTILLATIONS} is the most.",
                "Lower grid.seeds.",
            )
        places = [dict(zip(axes, names, strict=True)) for names in product(*axes.values())]
        return [self._cell(arm, place) for place in places for arm in self.arms]

    def _cell(self, arm: str, place: dict[str, str]) -> Cell:
        heading = ", ".join(f"{self.grid.short(axis)} {value}" for axis, value in place.items())
        layers = [self.arms[arm], *(self.grid.axes[axis][value] for axis, value in place.items())]
        try:
            first = Recipe.model_validate(self._changed([change for layer in layers for change in layer.items()]))
            seeds = range(first.distill.seed, first.distill.seed + self.grid.seeds)
            content = first.model_dump()
            content["distill"]["seed"] = seeds[-1]
            Recipe.model_validate(content)  # the largest fits, and so do the others
        except ValueError as error:  # a ValidationError is one, too
            problems = map(in_words, error.errors()) if isinstance(error, ValidationError) else [str(error)]
            listed = "\n".join(f"  {problem}" for problem in problems)
            raise InputError(
                f"The cell {arm}{heading and f', {heading}'} of the recipe {self.name} does not fit:\n{listed}\n",
                "docs/recipes.md lists every key.",
            ) from error
        sections = (first.distill.model_copy(update={"seed": seed}) for seed in seeds)
        recipes = tuple(first.model_copy(update={"distill": section}) for section in sections)
        return Cell(arm, place, heading or "top-1 %", recipes)

    def _changed(self, changes: list[tuple[str, Any]]) -> dict[str, Any]:
        """Every key with its value, some of them changed."""
        content = self.model_dump(mode="json")
        content["evaluate"] |= {
            key: getattr(self.evaluate, key) for key in ("engine", "workers", "together")
        }  # not stored
        for one, other in combinations(sorted(key for key, _ in changes), 2):
            if f"{other}.".startswith(f"{one}."):
                raise ValueError(f"{other} is changed twice" + (f", once as part of {one}" if one != other else ""))
        for key, value in changes:
            if not isinstance(content.get(key.partition(".")[0]), dict):
                raise ValueError(f"{key} is no key that a grid can change")
            put(content, key, value)
        return content


def in_words(item: Any) -> str:
    """One line for one validation error: the key's path, what is wrong, and the nearest key if it is unknown."""
    where = ".".join(map(str, item["loc"])) or "recipe"
    if item["type"] in ("model_type", "model_attributes_type"):
        return f"{where}: is a section with keys of its own, and no value (given: {item['input']!r:.60})"
    if item["type"] != "extra_forbidden":
        said = f"{where}: {item['msg'].removeprefix('Value error, ')}"
        of_several_keys = item["type"] == "value_error" and isinstance(item["input"], dict)  # which it names
        return said if of_several_keys else f"{said} (given: {item['input']!r:.60})"
    section: Any = Recipe
    for part in item["loc"][:-1]:
        known = getattr(section, "model_fields", {})
        section = known[part].annotation if part in known else next(iter(get_args(section)), None)  # of a list
    key = str(item["loc"][-1])
    near = difflib.get_close_matches(key, getattr(section, "model_fields", ()), n=1)
    if not near:  # of another section, as ipc is of distill
        near = [dotted for dotted in _keys(Recipe) if dotted.endswith(f".{key}")][:_MOST_NEAR]
    return f"{where}: unknown key" + (f"; did you mean {', '.join(near)}?" if near else "")


def _keys(section: Any, above: str = "") -> Iterator[str]:
    """All keys of a section and of those in it, dotted."""
    for name, field in getattr(section, "model_fields", {}).items():
        yield f"{above}{name}"
        for inner in (field.annotation, *get_args(field.annotation)):
            yield from _keys(inner, f"{above}{name}.")
