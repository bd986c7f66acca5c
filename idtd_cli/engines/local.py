"""Processes on this machine, with a time and a memory limit a file: a decoder may crash or hang, the run may not."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from itertools import islice
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from idtd_cli import provenance
from idtd_cli.engines.engine import Rejected
from idtd_cli.errors import IdtdError
from idtd_cli.video.decode import DecodeError

T = TypeVar("T")
R = TypeVar("R")

#: Items in flight for each worker. Results wait for those before them: with fewer, workers idle behind a long video.
_AHEAD = 4


def run(
    job: Callable[[T], R], items: Sequence[T], *, workers: int, seconds: float, memory_mb: int
) -> Generator[R | Rejected, None, None]:
    """The engine `local`: see `Engine`."""
    if items:
        with closing(Pool(min(workers or provenance.cores(), len(items)), seconds, memory_mb)) as pool:
            yield from pool.run(job, items)


class Pool:
    """Worker processes that serve one run after the other, until they are closed."""

    def __init__(self, workers: int, seconds: float, memory_mb: int) -> None:
        self._workers, self._seconds, self._memory_mb = workers, seconds, memory_mb
        self._works = False  # whether any item ever came back
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
        self._pool.join()

    def _start(self) -> Any:
        return ProcessPool(
            max_workers=self._workers, initializer=_limit, initargs=(self._memory_mb,), context=_context()
        )

    def _submit(self, job: Callable[[T], R], item: T) -> Any:
        """A future; None if the pool is broken, which `_result` then reports."""
        try:
            return self._pool.schedule(_guard, args=(job, item, self._memory_mb), timeout=self._seconds)
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
            if not future.done():
                raise BrokenProcessPool from error
            return Rejected(f"took longer than {self._seconds:g} s")
        except ProcessExpired as error:
            code = error.exitcode or 0
            return Rejected(f"crashed the decoder ({f'signal {-code}' if code < 0 else f'exit code {code}'})")


def _guard(job: Callable[[T], R], item: T, memory_mb: int) -> R | Rejected:
    """Run a job inside a worker. Every failure becomes a reason: no exception has to survive the way back."""
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


def _limit(memory_mb: int) -> None:
    """Start of a worker: its limits, and an end without delay when it is told to end."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
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


def _context() -> Any:
    """How workers are started: by a server that has imported the decoder once, where the system has fork.

    Never by forking this process: it may hold threads of torch.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["idtd_cli.video.decode", "idtd_cli.recipe"])
    with _sigint_blocked():
        forkserver.ensure_running()
    return context


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """The server and its workers inherit the block: Ctrl-C ends them through this process, without their tracebacks."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
