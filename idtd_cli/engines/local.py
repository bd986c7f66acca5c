"""Processes on this machine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import TypeVar

from idtd_cli import provenance
from idtd_cli.engines.computing import compute as compute
from idtd_cli.engines.engine import Rejected
from idtd_cli.engines.guarded import Pool

T = TypeVar("T")
R = TypeVar("R")


def run(
    job: Callable[[T], R], items: Sequence[T], *, workers: int, seconds: float, memory_mb: int
) -> Generator[R | Rejected, None, None]:
    """Of files: see `Engine`."""
    if items:
        with closing(Pool(min(workers or provenance.cores(), len(items)), seconds, memory_mb)) as pool:
            yield from pool.run(job, items)


def need_room(*, threads: int, gpus: int) -> None:
    """Of this machine there is as much as there is: see `Engine`."""
