"""Processes for files, with a time and a memory limit a file: a decoder may crash or hang, the run may not.

What a decoder prints goes nowhere, and processes that it starts end with its own at the latest: a worker leads a group
of processes, which ends as a whole when the worker does, and when this process does, however that ends.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from itertools import islice
from multiprocessing import connection, util
from pathlib import Path
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from idtd_cli.engines import processes
from idtd_cli.engines.engine import Rejected
from idtd_cli.errors import IdtdError
from idtd_cli.video.decode import DecodeError

T = TypeVar("T")
R = TypeVar("R")

#: Items in flight for each worker. Results wait for those before them: with fewer, workers idle behind a long video.
_AHEAD = 4
_NUMBER = 8  #: bytes that the number of a process is sent in


class Pool:
    """Worker processes that serve one run after the other, until they are closed."""

    def __init__(self, workers: int, seconds: float, memory_mb: int) -> None:
        self._workers, self._seconds, self._memory_mb = workers, seconds, memory_mb
        self._works = False  # whether any item ever came back
        self._born: Any = None  # where workers say their number
        self._groups: set[int] = set()
        self._pool = self._start()

    def run(self, job: Callable[[T], R], items: Sequence[T]) -> Generator[R | Rejected, None, None]:
        """As an engine does. After a run that was not read to its end, the pool can but be closed.

        Raises:
            IdtdError: no worker can be started.
        """
        source = iter(items)
        pending: deque[tuple[T, Any]] = deque()
        breakdowns = 0
        while True:
            for item in islice(source, _AHEAD * self._workers - len(pending)):
                pending.append((item, self._submit(job, item)))
            if not pending:
                return
            try:
                result = self._result(pending[0][1])
            except BrokenProcessPool as error:
                # In rare cases a crash breaks the pool itself, which is replaced as a whole.
                breakdowns += 1
                self.close()
                self._pool = self._start()
                if breakdowns == 3:
                    if not self._works:
                        raise IdtdError(
                            "Worker processes for decoding cannot be started.",
                            "Raise prepare.decode.memory_mb, or free some memory.",
                        ) from error
                    pending.popleft()
                    breakdowns = 0
                    yield Rejected("crashed the decoder")
                pending = deque((item, self._submit(job, item)) for item, _ in pending)
                continue
            pending.popleft()
            breakdowns, self._works = 0, True
            yield result

    def close(self) -> None:
        """End the workers, whatever they are at."""
        self._pool.stop()
        self._end_groups()  # now, and not when their leaders are gone: their numbers are still theirs
        self._pool.join()
        self._end_groups()
        self._born.close()

    def _start(self) -> Any:
        context = processes.context()
        self._born, born = context.Pipe(duplex=False)
        return ProcessPool(
            max_workers=self._workers,
            initializer=_begin,
            initargs=(self._memory_mb, born, util.get_temp_dir()),
            context=context,
        )

    def _end_groups(self, leader: int | None = None) -> None:
        """End the group of a worker that is gone, or those of all."""
        while not self._born.closed and self._born.poll():
            self._groups.add(int.from_bytes(os.read(self._born.fileno(), _NUMBER), "little"))
        for group in self._groups & {leader} if leader else set(self._groups):
            self._groups.remove(group)
            with suppress(ProcessLookupError, PermissionError):  # macOS refuses where none but the dead are left
                os.killpg(group, signal.SIGKILL)

    def _submit(self, job: Callable[[T], R], item: T) -> Any:
        """A future; None if the pool is broken, which `_result` then reports."""
        try:
            return self._pool.schedule(_guard, args=(job, item, self._seconds, self._memory_mb))
        except RuntimeError:
            return None

    def _result(self, future: Any) -> Any:
        """The job's result, or `Rejected`.

        Raises:
            BrokenProcessPool: the pool must be replaced and the item submitted again.
        """
        if future is None:
            raise BrokenProcessPool
        try:
            # The first in line waits for those ahead of it at most; a future that never comes was lost in a crash.
            return future.result(timeout=3 * self._seconds + 120)
        except FutureTimeout as error:
            raise BrokenProcessPool from error
        except ProcessExpired as error:
            self._end_groups(error.pid)
            if error.exitcode == -signal.SIGALRM:
                return Rejected(f"took longer than {self._seconds:g} s")
            return Rejected(f"crashed the decoder ({processes.told_end(error)})")


def _guard(job: Callable[[T], R], item: T, seconds: float, memory_mb: int) -> R | Rejected:
    """Run a job inside a worker. Every failure becomes a reason: no exception has to survive the way back."""
    # The system ends a worker whose time is up, wherever it hangs, and by a clock that nobody can set.
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return job(item)
    except DecodeError as error:
        return Rejected(error.reason)
    except MemoryError:
        return Rejected(f"needs more than {memory_mb} MiB of memory")
    except IdtdError as error:
        return Rejected(str(error))
    except Exception as error:
        return Rejected(f"is damaged: {type(error).__name__}: {str(error).partition(chr(10))[0][:200]}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _begin(memory_mb: int, born: connection.Connection, scratch: str) -> None:
    """Start of a worker: a group of its own, silence, its limits, and an end without delay when it is to end."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    processes.lead_group(scratch)
    os.write(born.fileno(), os.getpid().to_bytes(_NUMBER, "little"))
    _limit(memory_mb)


def _limit(memory_mb: int) -> None:
    try:
        import resource

        own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return  # elsewhere the address space cannot be measured, and macOS does not keep to the limit
    limit = own + (memory_mb << 20)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
