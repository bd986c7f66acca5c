"""`grid` and `expect`: a recipe as a table, and figures that it gave."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from idtd_cli.recipe.section import Section, Share

FigureName = Literal["redundancy", "temporal", "qualitative"]
#: What an arm or a value of an axis is called; YAML may read it as a number.
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\r\n]*$", coerce_numbers_to_str=True)]
#: Keys of a recipe, dotted, and the values that they get.
Changes = dict[Name, Any]


class GridConfig(Section):
    """A table: `idtd reproduce` runs this recipe for each of its cells, with some keys changed. Others pass it over."""

    seeds: int = Field(1, ge=1, le=1000, description="distillations of a cell, with distill.seed and those that follow")
    axes: dict[Name, Annotated[dict[Name, Changes], Field(min_length=1)]] = Field(
        {},
        description="the columns: a key and the list of its values, or a name and named changes, as of arms; every "
        "value of each goes with every value of the others",
    )
    arms: dict[Name, Changes] = Field(
        {},
        description="the rows: a name and the keys that it changes, as `{distill.idtd.segments: 1}`; differences are "
        "against the first; without arms, each of `methods` is one",
    )

    @field_validator("axes", mode="before")
    @classmethod
    def _named(cls, axes: Any) -> Any:
        """Values in a list become changes of the axis's own key, each named by itself."""
        if not isinstance(axes, dict):
            return axes
        named = dict(axes)
        for axis, values in axes.items():
            if axis == "arm":
                raise ValueError("no axis can be called arm")
            if isinstance(values, list | tuple):
                names = [value if isinstance(value, str) else json.dumps(value, default=str) for value in values]
                if len(set(names)) < len(names):
                    raise ValueError(f"{axis} has a value twice")
                named[axis] = {name: {axis: value} for name, value in zip(names, values, strict=True)}
        return named

    figures: tuple[FigureName, ...] = Field(
        (),
        description="of the arms at the first place, beside the chart of the table: redundancy (a class's gain by "
        "the first arm over the second, by how redundant it is), temporal (how much videos change over time), "
        "qualitative (videos side by side)",
    )

    def short(self, axis: str) -> str:
        """The last part of an axis's name, if no other ends with it; else all of it."""
        last = axis.rpartition(".")[2]
        return axis if [other.rpartition(".")[2] for other in self.axes].count(last) > 1 or last == "arm" else last


class Expectation(Section):
    """A figure that somebody measured with a recipe, or that nobody has measured yet."""

    of: Name = Field(description="an arm of the grid; without a grid a method, random or full")
    at: dict[Name, Name] = Field({}, description="where in the grid: axis → the name of its value")
    data: str | None = Field(None, description="name of the source; null: the demo set")
    top1: Share | None = Field(description="mean over students, a share; null: not measured yet")
    within: Share | None = Field(None, description="how far another run may be from it")
    source: str = Field(min_length=1, description="who measured it on what, or `not measured yet`")

    @model_validator(mode="after")
    def _is_complete(self) -> Expectation:
        if (self.top1 is None) != (self.within is None):
            raise ValueError("top1 and within go together: both are numbers, or both null")
        return self
