"""The engines there are."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from idtd_cli.engines import local, ray
from idtd_cli.engines.engine import Engine, Rejected
from idtd_cli.recipe import DecodeConfig

T = TypeVar("T")
R = TypeVar("R")

#: Key in a recipe → engine.
ENGINES: dict[str, Engine] = {"local": local.run, "ray": ray.run}


def run(job: Callable[[T], R], items: Sequence[T], config: DecodeConfig) -> Generator[R | Rejected, None, None]:
    """Run a job on each item, where and within the limits that a recipe says: see `Engine`."""
    engine = ENGINES[config.engine]
    return engine(job, items, workers=config.workers, seconds=config.seconds, memory_mb=config.memory_mb)
