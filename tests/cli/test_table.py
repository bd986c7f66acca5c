"""`idtd reproduce` of a recipe with a grid."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.running import Done
from tests.tiny import contents, write_recipe

Idtd = Callable[..., Done]
GRID = {"axes": {"distill.ipc": [1, 2]}, "arms": {"A": {}, "K = 1": {"distill.idtd.segments": 1}}}


def test_chosen_cells_are_filled_and_the_table_is_shown(idtd: Idtd, videos: Path, tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path / "r.yaml", grid=GRID, distill__steps=1), tmp_path / "out"
    command = ("reproduce", recipe, out, "--source", videos, "--only", "ipc=2,arm=K = 1", "--device", "cpu")
    done = idtd(*command)
    assert done.code == 0
    header, _, a, one, *_ = done.out.splitlines()
    assert header.split() == ["trained", "on", "ipc", "1", "ipc", "2", "(18.4", "KB)"]
    assert a.split() == ["A", "–", "–"]
    assert one.split()[:4] == ["K", "=", "1", "–"]
    assert one.endswith("(2)")
    assert f"The table is in {out / 'table.md'} and {out / 'table.csv'}" in done.out
    assert "Cell 1 of 1: K = 1, ipc 2." in done.err

    again = idtd(*command, "--json")
    assert again.code == 0
    assert json.loads(again.out)["kind"] == "table"
    assert again.out.strip() == (out / "table.json").read_text(encoding="utf-8").strip()
    assert "1 of 1 cells are done: nothing to do for them." in again.err


def test_only_is_for_what_the_grid_has(idtd: Idtd, videos: Path, tmp_path: Path) -> None:
    gridded, plain = write_recipe(tmp_path / "grid.yaml", grid=GRID), write_recipe(tmp_path / "plain.yaml")
    before = contents(tmp_path)
    for recipe, only, words in (
        (gridded, "ipc=3", "--only ipc=3: ipc is never 3. It is 1 or 2."),
        (gridded, "K=1", "--only K=1: the grid has no K. It has arm, ipc."),
        (plain, "ipc=1", "--only chooses cells of a grid, and the recipe tiny has none."),
    ):
        done = idtd("reproduce", recipe, tmp_path / "out", "--source", videos, "--only", only)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(f"idtd: {words}")
    assert contents(tmp_path) == before


def test_a_cell_that_does_not_fit_is_named_before_anything_is_made(idtd: Idtd, videos: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r.yaml", grid={"arms": {"a": {}, "K = 3": {"distill.idtd.segmentz": 3}}})
    before = contents(tmp_path)
    done = idtd("reproduce", recipe, tmp_path / "out", "--source", videos)
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines()[:2] == [
        "idtd: The cell K = 3 of the recipe tiny does not fit:",
        "  distill.idtd.segmentz: unknown key; did you mean segments?",
    ]
    assert contents(tmp_path) == before


def test_other_commands_pass_the_grid_over(idtd: Idtd, prepared: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r.yaml", grid=GRID, distill__steps=1)
    assert idtd("distill", prepared, tmp_path / "run", "--recipe", recipe, "--device", "cpu").code == 0
    assert "grid" not in (tmp_path / "run" / "recipe.yaml").read_text(encoding="utf-8")
