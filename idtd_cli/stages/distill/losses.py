"""Losses on their way to metrics.jsonl."""

from __future__ import annotations

import math
from collections.abc import Iterator

from idtd_cli.errors import IdtdError
from idtd_cli.recipe import DistillConfig, Section
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


def lower_step_sizes(config: DistillConfig) -> str:
    """The hint for matching: the keys of the step sizes that the run makes use of."""
    parts = [name.replace("-", "_") for name in (config.method, config.matching)]
    keys = [f"distill.{name}.{key}" for name in parts for key in _step_sizes(getattr(config, name, None))]
    lower = f"Lower {', '.join(keys[:-1])} or {keys[-1]}" if len(keys) > 1 else f"Lower {keys[0]}"
    return f"{lower}." if config.precision == "float32" else f"{lower}, or set distill.precision to float32."


def _step_sizes(section: Section | None) -> Iterator[str]:
    for key, value in section or ():
        if isinstance(value, Section):
            yield from (f"{key}.{inner}" for inner in _step_sizes(value))
        elif key.endswith("step_size"):
            yield key
