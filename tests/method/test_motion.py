from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from idtd_cli.method.motion import difference_energy, flow_magnitude


def waves(dx: float, dy: float, frames: int = 4, size: int = 32) -> Tensor:
    """(1, T, 3, H, W) bytes: a soft pattern that moves by (dx, dy) pixels a frame."""
    y_HW, x_HW = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    clips = []
    for frame in range(frames):
        x, y = x_HW - frame * dx, y_HW - frame * dy
        grey = 0.5 + 0.2 * torch.sin(0.45 * x + 0.2 * y) + 0.2 * torch.sin(0.4 * y - 0.15 * x + 1)
        clips.append((255 * grey).expand(3, -1, -1))
    return torch.stack(clips)[None].round().to(torch.uint8)


@settings(max_examples=25)
@given(length=st.floats(0, 3), angle=st.floats(0, 2 * math.pi))
def test_flow_is_as_long_as_the_motion(length: float, angle: float) -> None:
    found = flow_magnitude(waves(length * math.cos(angle), length * math.sin(angle)))
    assert found.item() == pytest.approx(length, abs=0.12 + 0.1 * length)


def test_what_stands_still_does_not_move_or_change() -> None:
    still = waves(0, 0)
    assert flow_magnitude(still).item() == pytest.approx(0, abs=1e-3)
    assert difference_energy(still).item() == 0


def test_a_plain_picture_that_flickers_changes_and_does_not_move() -> None:
    flicker = torch.zeros(1, 4, 3, 16, 16, dtype=torch.uint8)
    flicker[:, 1::2] = 255
    assert difference_energy(flicker).item() == pytest.approx(1)
    assert flow_magnitude(flicker).item() == 0


def test_energy_by_hand() -> None:
    videos = torch.tensor([[0, 51, 51], [0, 0, 255]], dtype=torch.uint8)[:, :, None, None, None].expand(2, 3, 3, 2, 2)
    assert difference_energy(videos).tolist() == pytest.approx([0.04 / 2, 1 / 2])


def test_each_video_is_measured_by_itself() -> None:
    several = torch.cat([waves(1, 0), waves(0, 0), waves(0, 2)])
    alone = torch.cat([flow_magnitude(several[number : number + 1]) for number in range(3)])
    torch.testing.assert_close(flow_magnitude(several), alone)


def test_a_single_frame_has_no_motion() -> None:
    assert flow_magnitude(waves(1, 1, frames=1)).tolist() == difference_energy(waves(1, 1, frames=1)).tolist() == [0]
