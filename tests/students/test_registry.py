from __future__ import annotations

import torch

from idtd_cli.recipe import StudentConfig
from idtd_cli.students import registry
from tests import tiny

TASK = registry.Task(classes=3, frames=4, height=16, width=16)
CONFIG = tiny.recipe().evaluate.student


def weights(seed: int) -> dict[str, torch.Tensor]:
    return registry.build(CONFIG, TASK, seed, "cpu").state_dict()


def test_the_seed_decides_the_weights() -> None:
    one, two, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["blocks.0.weight"], other["blocks.0.weight"])


def test_building_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    weights(1)
    assert torch.equal(torch.rand(3), expected)


def test_every_name_that_a_recipe_may_use_is_registered() -> None:
    assert set(registry.STUDENTS) == set(StudentConfig.model_fields["name"].annotation.__args__)  # type: ignore[union-attr]


def test_the_settings_reach_the_network() -> None:
    student = registry.build(StudentConfig(widths=(4, 6), strides=(1, 1), kernel=(3, 5, 3)), TASK, 0, "cpu")
    assert student(torch.zeros(2, 3, 4, 16, 16)).shape == (2, 3)
    assert student.state_dict()["blocks.0.weight"].shape == (4, 3, 3, 5, 3)
