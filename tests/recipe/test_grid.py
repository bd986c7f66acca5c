from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from idtd_cli import recipe
from idtd_cli.errors import InputError
from tests import tiny
from tests.recipe.refusal import refused

GRID = {
    "seeds": 2,
    "axes": {"distill.ipc": [1, 5], "frames": {8: {"prepare.clip.frames": 8}, "4": {}}},
    "arms": {"whole method": {}, "K = 1": {"distill.idtd.segments": 1}, "nine": {"evaluate": {"students": 9}}},
}


def test_a_grid_has_a_cell_for_every_arm_at_every_place() -> None:
    cells = tiny.recipe(grid=GRID).cells()
    assert [str(cell) for cell in cells[:4]] == [
        "whole method, ipc 1, frames 8",
        "K = 1, ipc 1, frames 8",
        "nine, ipc 1, frames 8",
        "whole method, ipc 1, frames 4",
    ]
    assert len({str(cell) for cell in cells}) == len(cells) == 3 * 2 * 2
    assert cells[-1].place == {"distill.ipc": "5", "frames": "4"}


def test_each_recipe_of_a_cell_is_the_recipe_with_its_changes_and_a_seed_of_its_own(path: Path) -> None:
    cell = tiny.recipe(grid=GRID, distill__seed=7).cells()[1]
    expected = [
        recipe.load(path, ["prepare.clip.frames=8", "distill.idtd.segments=1", f"distill.seed={seed}"])
        for seed in (7, 8)
    ]
    assert list(cell.recipes) == expected
    assert [one.digest() for one in cell.recipes] == [one.digest() for one in expected]


def test_a_changed_section_has_the_defaults_of_what_the_change_leaves_out() -> None:
    nine = tiny.recipe(grid=GRID).cells()[2].recipes[0]
    assert (nine.evaluate.students, nine.evaluate.full_students) == (9, 2)
    assert tiny.recipe().evaluate.full_students == 1


def test_no_digest_and_nothing_stored_depends_on_the_grid(path: Path) -> None:
    plain, gridded = tiny.recipe(), tiny.recipe(grid=GRID)
    assert (plain.has_grid, gridded.has_grid) == (False, True)
    assert gridded.digest() == plain.digest()
    assert gridded.to_yaml() == plain.to_yaml()
    assert not tiny.recipe(grid={}).has_grid


def test_without_arms_the_methods_are_the_arms() -> None:
    cells = tiny.recipe(methods=["herding", "idtd"], grid={"seeds": 3}).cells()
    assert [(str(cell), cell.recipes[0].distill.method, len(cell.recipes)) for cell in cells] == [
        ("herding", "herding", 3),
        ("idtd", "idtd", 3),
    ]


def test_an_axis_is_called_by_its_last_part_where_that_is_enough() -> None:
    content = {"evaluate.fit.steps": [1], "distill.steps": [1], "distill.ipc": [1]}
    grid = tiny.recipe(grid={"axes": content}).grid
    assert [grid.short(axis) for axis in content] == ["evaluate.fit.steps", "distill.steps", "ipc"]


def test_values_are_named_as_they_are_written() -> None:
    axes = {
        "distill.network.widths": [[4, 8], [8, 8]],
        "evaluate.fit.flip": [True],
        "distill.idtd.pool.start": ["random"],
    }
    assert [list(values) for values in tiny.recipe(grid={"axes": axes}).grid.axes.values()] == [
        ["[4, 8]", "[8, 8]"], ["true"], ["random"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"arms": {"a": {}, "b": {"distill.icp": 1}}}, "The cell b of the recipe tiny does not fit"),
        ({"axes": {"distill.ipc": [1, 0]}, "arms": {"a": {}}}, "The cell a, ipc 0 of the recipe tiny does not fit"),
        ({"arms": {"K = 3": {"distill.idtd.segments": 3}}}, "(4) is no multiple of distill.idtd.segments (3)"),
        ({"arms": {"a": {"distill.ipc": 1}}, "axes": {"distill.ipc": [2]}}, "distill.ipc is changed twice"),
        ({"arms": {"a": {"distill": {}}}, "axes": {"distill.ipc": [2]}}, "twice, once as part of distill"),
        ({"arms": {"a": {"name": "x"}}}, "name is no key that a grid can change"),
        ({"arms": {"a": {"methods": ["idtd"]}}}, "methods is no key that a grid can change"),
        ({"arms": {"a": {"grid.seeds": 2}}}, "grid.seeds is no key that a grid can change"),
        ({"arms": {"a": {"distill.ipc.deep": 2}}}, "ipc is a value, not a section"),
        ({"arms": {"a": {"distill.seed": (1 << 31) - 1}}, "seeds": 2}, "distill.seed: Input should be less than"),
        ({"axes": {"distill.ipc": [1, 1]}}, "grid.axes: distill.ipc has a value twice"),
        ({"axes": {"distill.ipc": []}}, "grid.axes.distill.ipc: "),
        ({"axes": {"distill.ipc": 1}}, "grid.axes.distill.ipc: "),
        ({"axes": {"arm": [1]}}, "no axis can be called arm"),
        ({"axes": [1]}, "grid.axes: "),
        ({"arms": {"a": 1}}, "grid.arms.a: "),
        ({"arms": {"": {}}}, "grid.arms."),
        ({"arms": {"a\nb": {}}}, "grid.arms."),
        ({"seeds": 0}, "grid.seeds: "),
        ({"seedz": 2}, "grid.seedz: unknown key; did you mean seeds?"),
        ({"axes": {"distill.ipc": list(range(1, 502))}}, "has 1002 cells; 1000 is the most"),
        ({"axes": {"distill.ipc": list(range(1, 101))}, "seeds": 60}, "asks for 12000 distillations; 10000 is the mos"),
        ({"arms": {True: {}}}, "the key True needs quotes"),
    ],
)  # fmt: skip
def test_a_grid_that_does_not_fit_is_refused_when_the_recipe_is_loaded(
    path: Path, grid: dict[str, Any], message: str
) -> None:
    assert message in refused(path, grid=grid)


def test_a_grid_can_be_overridden(path: Path) -> None:
    path.write_text(yaml.safe_dump(tiny.settings(grid=GRID)))
    loaded = recipe.load(path, ["grid.seeds=1", "grid.axes={}", "grid.arms={a: {}, 2: {distill.ipc: 2}}"])
    assert [str(cell) for cell in loaded.cells()] == ["a", "2"]


def test_a_base_may_have_a_base_and_a_grid_may_be_taken_from_it(path: Path) -> None:
    middle, child = path.with_name("middle.yaml"), path.with_name("child.yaml")
    middle.write_text(
        "name: middle\nbase: r.yaml\ndistill: {ipc: 2}\ngrid: {arms: {one: {}, two: {distill.steps: 0}}}\n"
    )
    child.write_text("name: child\nbase: middle.yaml\ndistill: {seed: 3}\n")
    assert not recipe.load(child).has_grid
    child.write_text("name: child\nbase: middle.yaml\ndistill: {seed: 3}\ngrid: base\n")
    loaded = recipe.load(child)
    assert (loaded.name, loaded.distill.ipc, loaded.distill.seed, list(loaded.arms)) == ("child", 2, 3, ["one", "two"])
    assert loaded.prepare == recipe.load(path).prepare
    middle.write_text("name: middle\nbase: child.yaml\n")
    with pytest.raises(InputError, match="is its own base, by way of"):
        recipe.load(child)
