"""Processes for work of our own: an item may take hours, and is worked on again if its process was lost."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import util
from typing import Any, TypeVar, cast

from pebble import ProcessExpired, ProcessPool

from idtd_cli import host_memory, provenance
from idtd_cli.engines import processes
from idtd_cli.errors import IdtdError

T = TypeVar("T")
R = TypeVar("R")

#: How often an item is worked on again whose process was lost.
_RETRIES = 3


def compute(
    job: Callable[[T], R], items: Sequence[T], *, workers: int, threads: int, gpus: int
) -> Generator[tuple[int, R], None, None]:
    """As an engine does: see `Engine`."""
    if not items:
        return
    workers = min(workers or max(1, provenance.cores() // threads), len(items))
    context = processes.context()
    given = (job, context.Value("i", 0), _visible(gpus), util.get_temp_dir())

    def start() -> Any:
        return ProcessPool(max_workers=workers, initializer=_begin_computing, initargs=given, context=context)

    pool, todo = start(), deque(range(len(items)))
    pending: dict[Future[R], int] = {}
    lost: Counter[int] = Counter()

    def lose(number: int, error: ProcessExpired | BrokenProcessPool) -> None:
        lost[number] += 1
        if lost[number] > _RETRIES:
            raise IdtdError(
                f"A process that computes was lost {lost[number]} times ({processes.told_end(error)}).",
                "If memory ran out, take fewer --workers; the same command goes on from there.",
            ) from error
        todo.appendleft(number)

    try:
        while todo or pending:
            while todo and len(pending) < 2 * workers:
                number = todo.popleft()
                pending[_submitted(pool, items[number])] = number
            broken: BrokenProcessPool | None = None
            for future in _ended(pending):
                number = pending.pop(future)
                try:
                    result = future.result()
                except ProcessExpired as error:
                    lose(number, error)
                except BrokenProcessPool as error:
                    lose(number, error)
                    broken = error
                else:
                    yield number, result
            if broken:
                pool.stop()
                pool.join()
                pool = start()
                for number in sorted(pending.values(), reverse=True):
                    lose(number, broken)
                pending.clear()
    finally:
        pool.stop()
        pool.join()


def _submitted(pool: Any, item: Any) -> Future[Any]:
    """What will come of an item; of a pool that is broken, that."""
    try:
        return cast("Future[Any]", pool.schedule(_compute, args=(item,)))
    except RuntimeError:
        broken: Future[Any] = Future()
        broken.set_exception(BrokenProcessPool("it could not be submitted"))
        return broken


def _ended(pending: Mapping[Future[R], int]) -> list[Future[R]]:
    """Those that have come to an end, once there is one: results first, as an error ends all that is at work."""
    ended = wait(pending, return_when=FIRST_COMPLETED).done
    return sorted(ended, key=lambda future: (future.exception() is not None, pending[future]))


def _visible(gpus: int) -> list[str]:
    """The first GPUs of those that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (named.split(",") if named else [str(number) for number in range(gpus)])[:gpus]


def _begin_computing(job: Callable[[Any], Any], begun: Any, gpus: list[str], scratch: str) -> None:
    """Start of a process that computes: on a GPU of its own, if there are enough, and for as long as ours lives."""
    global _job
    processes.lead_group(scratch)
    if gpus:
        with begun.get_lock():
            os.environ["CUDA_VISIBLE_DEVICES"] = gpus[begun.value % len(gpus)]
            begun.value += 1
    host_memory.keep()  # as the command does
    _job = job


#: What this process does, if it is one that computes.
_job: Callable[[Any], Any]


def _compute(item: Any) -> Any:
    return _job(item)
