from __future__ import annotations

from typing import Literal

import pytest
import torch

from idtd_cli.students.resnet3d import ResNet3D


@pytest.mark.parametrize(("kind", "published"), [("3d", 33_371_472), ("2+1d", 31_505_325)])
def test_weights_are_as_many_as_published(kind: Literal["3d", "2+1d"], published: int) -> None:
    """Of the networks for the 400 classes of Kinetics, as torchvision documents r3d_18 and r2plus1d_18."""
    with torch.device("meta"):
        network = ResNet3D(kind, 400, 0.0)
    assert sum(weight.numel() for weight in network.parameters()) == published


def test_a_stage_halves_time_and_space() -> None:
    network = ResNet3D("3d", 5, 0.0).eval()
    shapes = []
    for block in network.blocks:
        block.register_forward_hook(lambda *given: shapes.append(tuple(given[-1].shape[1:])))
    network(torch.zeros(1, 3, 16, 112, 112))
    assert shapes[0] == (64, 16, 56, 56)
    assert shapes[-2] == (512, 2, 7, 7)
