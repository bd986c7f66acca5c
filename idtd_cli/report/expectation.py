"""What a recipe expects beside what was found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from idtd_cli.recipe import Expectation, GridConfig, Recipe
from idtd_cli.report.document import ReportDocument
from idtd_cli.report.summary import ordered
from idtd_cli.report.table import TableDocument
from idtd_cli.report.text import aligned

_HEADER = ("expected of", "top-1 %", "found", "", "measured")


@dataclass(frozen=True)
class Compared:
    """An expectation and the figure that it is for; None where that was not run."""

    expected: Expectation
    found: float | None

    @property
    def is_outside(self) -> bool:
        """Whether the figure is farther away than it may be."""
        value, within = self.expected.top1, self.expected.within
        return None not in (value, within, self.found) and abs(self.found - value) > within  # type: ignore[operator]

    @property
    def verdict(self) -> str:
        if self.found is None:
            return "not run"
        if self.expected.top1 is None:
            return "nothing to compare with"
        return "OUTSIDE" if self.is_outside else "as expected"


def in_report(expected: Iterable[Expectation], source: str | None, report: ReportDocument) -> list[Compared]:
    """Expectations of a recipe without a grid that are for this source, by name; None is the demo set."""
    found: dict[str, float] = {r.method: r.top1.mean for r in ordered(report) if r.form == "own"}
    return [Compared(one, found.get(one.of)) for one in expected if one.data == source]


def in_table(recipe: Recipe, source: str | None, table: TableDocument) -> list[Compared]:
    """The same of one with a grid."""
    rows = sorted(table.rows, key=lambda row: row.seeds > 0)  # an arm that is called as a reference comes after it
    found = {(row.arm, _place(recipe.grid, row.place)): row.top1 for row in rows}
    return [
        Compared(one, found.get((one.of, frozenset(one.at.items())))) for one in recipe.expect if one.data == source
    ]


def _place(grid: GridConfig, place: dict[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset((grid.short(axis), value) for axis, value in place.items())


def render(compared: Sequence[Compared]) -> str:
    """A table: what was expected, what was found, and what to think of it."""
    rows: list[tuple[str, ...]] = [_HEADER]
    for one in compared:
        expected = one.expected
        place = "".join(f", {axis} {value}" for axis, value in expected.at.items())
        band = "–" if expected.top1 is None else f"{100 * expected.top1:.1f} ± {100 * (expected.within or 0):.1f}"
        found = "–" if one.found is None else f"{100 * one.found:.1f}"
        rows.append((expected.of + place, band, found, one.verdict, expected.source))
    return aligned(rows)
