from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import nn

from idtd_cli.runlog import read_lines
from idtd_cli.stages.distill import speed
from idtd_cli.stages.distill.speed import Speedometer
from tests.tiny import distil, recipe

CLIP = (2, 3, 4, 10, 10)
#: Of a Conv3d(3, 8, (3, 5, 5)) with padding on such clips: a multiplication and an addition for each weight and place.
FORWARD = 2 * (8 * 3 * 3 * 5 * 5) * (2 * 4 * 10 * 10)


@pytest.mark.parametrize(("learns", "passes"), [(True, 3), (False, 2)])
def test_the_operations_of_a_convolution_are_those_counted_by_hand(learns: bool, passes: int) -> None:
    """Forward, and backward as often as there are things to have a gradient: the clips, and weights that learn."""
    convolution = nn.Conv3d(3, 8, (3, 5, 5), padding=(1, 2, 2)).requires_grad_(learns)
    clips = torch.randn(CLIP, requires_grad=True)
    meter = Speedometer("cpu", "float32", network_steps=1)
    meter.counted(lambda: convolution(clips).sum().backward())
    assert meter.flops() == passes * FORWARD


def test_what_the_first_step_of_a_turn_takes_more_is_spread_over_the_turn() -> None:
    convolution, clips = nn.Conv3d(3, 8, (3, 5, 5), padding=(1, 2, 2)), torch.randn(CLIP)
    meter = Speedometer("cpu", "float32", network_steps=4)
    for times in (5, 1, 100):  # the third is not counted any more
        assert meter.counted(lambda times=times: [convolution(clips) for _ in range(times)])  # type: ignore[misc]
    assert meter.flops() == 2 * FORWARD


def test_a_look_measures_the_time_since_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    convolution, clips = nn.Conv3d(3, 8, (3, 5, 5), padding=(1, 2, 2)), torch.randn(CLIP)
    meter = Speedometer("cpu", "float32", network_steps=1)
    meter.counted(lambda: convolution(clips))
    now = 104.0
    expected = {"seconds_per_step": 2.0, "clips_per_second": 15.0, "flops_per_second": FORWARD / 2}
    assert meter.look(2, 60) == expected  # a CPU's peak is not known
    now = 110.0
    meter.restart()
    now = 111.0
    assert meter.look(10, 60)["seconds_per_step"] == 0.1


@pytest.mark.parametrize(
    ("name", "precision", "tf32", "tera"),
    [
        ("NVIDIA A100-SXM4-80GB", "bfloat16", True, 312),
        ("NVIDIA A100-PCIE-40GB", "float32", True, 156),
        ("NVIDIA A100-PCIE-40GB", "float32", False, 19.5),
        ("NVIDIA H100 80GB HBM3", "bfloat16", True, 989),
        ("NVIDIA H100 PCIe", "bfloat16", True, 756.5),
        ("NVIDIA H200", "float32", True, 494.5),
        ("NVIDIA A10", "bfloat16", True, 125),
        ("NVIDIA L40S", "bfloat16", True, 362),
        ("Tesla T4", "float32", True, 8.1),
    ],
)
def test_the_peak_is_the_data_sheets(name: str, precision: str, tf32: bool, tera: float) -> None:
    assert speed.peak(name, precision, tf32) == pytest.approx(tera * 1e12)


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("Tesla T4", "bfloat16"),
        ("NVIDIA A10G", "float32"),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "float32"),
        ("NVIDIA H1000", "float32"),
    ],
)
def test_no_peak_is_made_up(name: str, precision: str) -> None:
    assert speed.peak(name, precision, tf32=True) is None


@pytest.mark.parametrize(("network_steps", "real"), [(1, 12), (4, 3)])
def test_a_run_says_how_fast_it_is(prepared: Path, tmp_path: Path, network_steps: int, real: int) -> None:
    """Each step, three synthetic videos are seen, forward and back; each turn, four real clips of three classes."""
    content = recipe(distill__method="pixel", distill__steps=20, distill__network_steps=network_steps)
    distil(prepared, tmp_path / "run", content)
    lines = list(read_lines(tmp_path / "run" / "speed.jsonl"))
    assert [line["step"] for line in lines[-2:]] == [17, 19]  # a look at every checkpoint, and every ten steps
    clips = sum(line["clips_per_second"] * line["seconds_per_step"] * 2 for line in lines)
    assert clips == pytest.approx(20 * (3 + real))
    one_clip = 2 * 27 * (4 * 3 * 4 * 16 * 16 + 8 * 4 * 4 * 8 * 8)  # the two convolutions of the tiny network
    for line in lines:
        assert line["flops_per_second"] * line["seconds_per_step"] == pytest.approx((real + 2 * 3) * one_clip)
