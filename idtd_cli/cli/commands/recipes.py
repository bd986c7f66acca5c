from __future__ import annotations

from idtd_cli.cli import output


def recipes() -> None:
    """List the recipes that come with idtd: what each shows, and what it takes.

    Example: idtd recipes
    """
    from idtd_cli.recipe import load, shipped

    for name, path in shipped().items():
        recipe = load(path)
        cells = f"{len(recipe.cells())} cells, {recipe.grid.seeds} distillations each. " if recipe.has_grid else ""
        output.say(f"{name}\n  {recipe.description}\n  {cells}Cost: {recipe.cost or 'not measured yet'}.")
