from __future__ import annotations

from idtd_cli.cli import output


def recipes() -> None:
    """List the recipes that come with idtd: what each shows, and what it takes.

    Example: idtd recipes
    """
    from idtd_cli.recipe import load, shipped

    for name, path in shipped().items():
        recipe = load(path)
        each = "1 distillation" if recipe.grid.seeds == 1 else f"{recipe.grid.seeds} distillations"
        cells = f"{len(recipe.cells())} cells, {each} each. " if recipe.has_grid else ""
        output.say(f"{name}\n  {recipe.description}\n  {cells}Cost: {recipe.cost or 'not measured yet'}.")
