from __future__ import annotations

from typing import Any

import pytest
import torch

from idtd_cli.errors import InputError
from idtd_cli.students.convnet3d import ConvNet3D

SMALL: dict[str, Any] = {"widths": (4, 8), "kernel": (3, 3, 3), "strides": (1, 1)}


@pytest.mark.parametrize(
    ("frames", "size", "last"),
    [
        (16, 112, (4, 2, 2)),  # MiniUCF, HMDB51
        (8, 64, (2, 1, 1)),  # Kinetics, SSv2
    ],
)
def test_the_peers_network(frames: int, size: int, last: tuple[int, int, int]) -> None:
    network = ConvNet3D(50, frames, size, size)
    x = torch.zeros(1, 3, frames, size, size)
    assert network(x).shape == (1, 50)
    embedding = network.embed(x)
    assert embedding.shape == (1, network.embedding_width) == (1, 128 * last[0] * last[1] * last[2])
    kernels = [layer.kernel_size for layer in network.blocks if isinstance(layer, torch.nn.Conv3d)]
    assert kernels == [(3, 7, 7)] * 3
    assert network.head.kernel_size == (1, 1, 1)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4, 16, 16), SMALL),
        ((5, 17, 30), SMALL),  # odd sides
        ((16, 32, 32), {"widths": (8, 8, 8), "kernel": (3, 5, 5), "strides": (2, 2, 1)}),
        ((16, 100, 150), {"widths": (4, 4, 4), "strides": (2, 2, 2)}),
        ((8, 32, 32), SMALL | {"norm": "group"}),
        ((2, 4, 4), SMALL),  # as small as it goes
        ((16, 64, 64), {"widths": (4, 4, 4, 4), "kernel": (3, 3, 3), "strides": (1, 1, 1, 1)}),
    ],
)
def test_embedding_width_is_true_for_every_shape(shape: tuple[int, int, int], options: dict[str, Any]) -> None:
    network = ConvNet3D(5, *shape, **options)
    x = torch.randn(2, 3, *shape)
    assert network(x).shape == (2, 5)
    assert network.embed(x).shape == (2, network.embedding_width)


@pytest.mark.parametrize(
    ("shape", "options", "block"),
    [
        ((16, 32, 32), {}, 3),  # the peers' network on small frames
        ((1, 16, 16), SMALL, 2),  # too short
        ((4, 2, 16), SMALL, 2),  # too low
        ((4, 16, 1), SMALL, 1),  # too narrow
    ],
)
def test_clips_that_are_too_small_are_refused(shape: tuple[int, int, int], options: dict[str, Any], block: int) -> None:
    with pytest.raises(InputError, match=rf"Clips of {shape[0]} frames .* too small for block {block} of convnet3d"):
        ConvNet3D(5, *shape, **options)


def test_group_norm_ignores_the_scale_of_a_clip() -> None:
    torch.manual_seed(0)
    network = ConvNet3D(5, 4, 16, 16, **SMALL, norm="group", dropout=0.0)
    for layer in network.blocks:
        if isinstance(layer, torch.nn.Conv3d) and layer.bias is not None:
            torch.nn.init.zeros_(layer.bias)
    x = torch.randn(2, 3, 4, 16, 16)
    torch.testing.assert_close(network.embed(100 * x), network.embed(x), atol=1e-2, rtol=1e-2)


def test_dropout_is_for_training_alone() -> None:
    torch.manual_seed(0)
    network = ConvNet3D(5, 4, 16, 16, **SMALL)
    x = torch.randn(2, 3, 4, 16, 16)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_the_order_of_frames_matters() -> None:
    torch.manual_seed(0)
    network = ConvNet3D(5, 8, 16, 16, **SMALL).eval()
    x = torch.randn(2, 3, 8, 16, 16)
    assert not torch.allclose(network(x), network(x.flip(2)), atol=1e-3)
