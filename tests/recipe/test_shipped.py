from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from idtd_cli import recipe
from idtd_cli.students import registry
from tests import tiny
from tests.recipe.refusal import refused


@pytest.mark.parametrize("name", sorted(recipe.shipped()))
def test_every_shipped_recipe_loads_and_describes_itself(name: str) -> None:
    path = recipe.shipped()[name]
    loaded = recipe.load(name)
    assert loaded.name == name
    assert loaded.description
    assert recipe.load(path) == loaded


@pytest.mark.parametrize("name", sorted(recipe.shipped()))
def test_every_shipped_recipe_can_be_built(name: str) -> None:
    """Each network of each of its cells takes the clips of that cell."""
    loaded = recipe.load(name)
    every = [cell.recipes[0] for cell in loaded.cells()] if loaded.has_grid else [loaded]
    used = {(one.prepare.clip, network) for one in every for network in (one.distill.network, one.evaluate.student)}
    for clip, network in used:
        task = registry.Task(400, clip.frames, clip.height, clip.width)
        with torch.device("meta"):
            registry.STUDENTS[network.name](network, task)


def test_a_figure_that_nobody_measured_is_expected_of_nobody() -> None:
    for name in recipe.shipped():
        for one in recipe.load(name).expect:
            assert (one.top1 is None) == (one.source == "not measured yet"), name


def test_demo_is_shipped() -> None:
    assert "demo" in recipe.shipped()


def test_a_protocol_gives_the_keys_that_it_has_and_leaves_the_others(path: Path) -> None:
    plain = recipe.load(path).evaluate
    named = recipe.load(path, ["evaluate.protocol=idtd", "evaluate.full_students=7"]).evaluate
    assert (named.students, named.full_students, named.scoring.views, named.plain) == (5, 7, 3, True)
    assert (named.student, named.fit) == (plain.student, plain.fit)
    content = tiny.settings(evaluate__protocol="idtd", evaluate__full_students=7)
    del content["evaluate"]["students"]
    path.write_text(yaml.safe_dump(content))
    assert recipe.load(path).evaluate == named


def test_a_protocol_is_known_by_its_keys_not_by_a_name(path: Path) -> None:
    assert recipe.followed(recipe.load(path).evaluate) == []
    assert recipe.followed(recipe.load(path, ["evaluate.protocol=idtd"]).evaluate) == ["idtd"]
    assert recipe.followed(recipe.load(path, ["evaluate.protocol=idtd", "evaluate.students=4"]).evaluate) == []
    assert recipe.followed(recipe.load("protocols/peer-miniucf").evaluate) == ["peer-miniucf"]


def test_a_protocol_that_there_is_not_is_refused(path: Path) -> None:
    assert "There are idtd, peer-miniucf." in refused(path, "evaluate.protocol=ours")
    assert "There is no protocol ours" in refused(path, evaluate__protocol="ours")


def test_the_peers_are_followed_to_the_letter() -> None:
    """Figures of their code: 500 epochs and one, in batches of 256; three draws of a test clip, each right or wrong."""
    loaded = recipe.load("protocols/peer-miniucf")
    assert [loaded.evaluate.fit.updates(clips) for clips in (50, 250, 500, 6523)] == [501, 501, 1002, 13026]
    assert (loaded.prepare.clip.frames, loaded.prepare.clip.stride, loaded.prepare.clip.draws) == (16, 4, 3)
    assert (loaded.evaluate.scoring.views, loaded.evaluate.scoring.combine) == (3, "accuracy")
    assert loaded.distill.selection == "peer-best-of-test"
