"""How fast the steps are: clips and floating point operations a second, and how much of the device's peak that is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from idtd_cli.ranks import ALONE, Ranks

T = TypeVar("T")

#: Dense peak in TFLOP/s as the vendor's data sheets give it: bfloat16 and TF32 on tensor cores, float32 without them.
#: Where a sheet gives a figure "with sparsity", this is half of it. A name stands before those that are parts of it.
#: The sheets are those of the NVIDIA H200, H100, A100, A10, L40S, L4, V100 and T4. None: it has no such units.
PEAKS: dict[str, tuple[float | None, float | None, float]] = {
    "H200 NVL": (835.5, 417.5, 60),
    "H200": (989, 494.5, 67),
    "H100 NVL": (835.5, 417.5, 60),
    "H100 PCIe": (756.5, 378, 51),
    "H100": (989, 494.5, 67),
    "A100": (312, 156, 19.5),
    "A10": (125, 62.5, 31.2),
    "L40S": (362, 183, 91.6),
    "L4": (121, 60, 30.3),
    "V100-SXM2": (None, None, 15.7),
    "T4": (None, None, 8.1),
}


def peak(name: str, precision: str, tf32: bool) -> float | None:
    """FLOP/s that a GPU of this name can do at most, by its data sheet; None where that is not known.

    Args:
        name: as torch gives it, "NVIDIA A100-SXM4-80GB".
        precision: "float32" or "bfloat16".
        tf32: whether float32 convolutions run as TF32, as torch lets them by default.
    """
    words = name.replace("-", " ").split()
    if "MIG" in words:  # a part of a GPU
        return None
    for known, (bfloat16, tensor_float, float32) in PEAKS.items():
        if all(word in words for word in known.replace("-", " ").split()):
            tera = bfloat16 if precision == "bfloat16" else (tensor_float if tf32 and tensor_float else float32)
            return tera * 1e12 if tera else None
    return None


class Speedometer:
    """Measures the steps between two looks, when the host waits for the device anyway.

    The operations of a step are counted once, in the first two: convolutions and matrix products, forward and backward.
    A CPU's peak depends on its clock and its cores in use, and no data sheet gives it; there is no utilisation there.
    Where there are several ranks, figures are of all of them, and peaks are as those of rank 0's device.
    """

    def __init__(self, device: str, precision: str, network_steps: int, ranks: Ranks = ALONE) -> None:
        self._peak, self._ranks = None, ranks
        if device.startswith("cuda"):
            self._peak = peak(torch.cuda.get_device_name(), precision, torch.backends.cudnn.allow_tf32)
        self._network_steps = network_steps
        self._counted: list[int] = []
        self.restart()

    def counted(self, take: Callable[[], T]) -> T:
        """Take a step."""
        if len(self._counted) == 2:
            return take()
        with FlopCounterMode(display=False) as counter:
            taken = take()
        self._counted.append(counter.get_total_flops())
        return taken

    def flops(self) -> float:
        """Floating point operations of a step, on average over a turn: its first step draws a network, too."""
        first, *rest = self._counted
        usual = rest[0] if rest else first
        return usual + (first - usual) / self._network_steps

    def restart(self) -> None:
        """Leave out the time since the last look."""
        self._began = time.perf_counter()

    def look(self, steps: int, clips: int) -> dict[str, float]:
        """The speed of the steps since the last look, in which networks saw so many clips here; begin anew."""
        seconds = time.perf_counter() - self._began
        self.restart()
        done = torch.tensor([clips, steps * self.flops()], dtype=torch.float64)
        clips_rate, flops = (self._ranks.sum(done) / seconds).tolist()
        facts = {"seconds_per_step": seconds / steps, "clips_per_second": clips_rate, "flops_per_second": flops}
        return facts | ({"utilisation": flops / self._peak / self._ranks.of} if self._peak else {})
