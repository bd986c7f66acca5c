"""The engines there are."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from idtd_cli.engines import local, ray
from idtd_cli.engines.engine import Engine, Rejected
from idtd_cli.recipe import DecodeConfig, EvaluateConfig

T = TypeVar("T")
R = TypeVar("R")

#: Key in a recipe → engine.
ENGINES: dict[str, Engine] = {"local": local, "ray": ray}


def run(job: Callable[[T], R], items: Sequence[T], config: DecodeConfig) -> Generator[R | Rejected, None, None]:
    """Run a job on each file, where and within the limits that a recipe says: see `Engine`."""
    engine = ENGINES[config.engine]
    return engine.run(job, items, workers=config.workers, seconds=config.seconds, memory_mb=config.memory_mb)


def need_room(config: EvaluateConfig, threads: int, gpus: int) -> None:
    """Look whether work of our own can be done where a recipe says: see `Engine`."""
    ENGINES[config.engine].need_room(threads=threads, gpus=gpus)


def compute(
    job: Callable[[T], R], items: Sequence[T], config: EvaluateConfig, threads: int, gpus: int
) -> Generator[tuple[int, R], None, None]:
    """Do work of our own on each item, where a recipe says; results come as they are there: see `Engine`."""
    return ENGINES[config.engine].compute(job, items, workers=config.workers, threads=threads, gpus=gpus)
