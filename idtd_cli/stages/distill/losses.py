"""Losses on their way to metrics.jsonl."""

from __future__ import annotations

import math

from idtd_cli.errors import IdtdError
from idtd_cli.runlog import Metrics

#: Steps between two looks at the losses: a look makes the host wait for the device.
LOOK_EVERY = 10


def write(number: int, losses: dict[str, float], metrics: Metrics, hint: str) -> None:
    """Write the losses of a step down, and stop with a hint if one of them is not a number."""
    metrics.add(number, **losses)
    metrics.flush()
    for name, value in losses.items():
        if not math.isfinite(value):
            raise IdtdError(f"The {name} loss became {value} at step {number}.", hint)
