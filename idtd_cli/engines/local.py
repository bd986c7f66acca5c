"""Processes on this machine, with a time and a memory limit a file: a decoder may crash or hang, the run may not.

What a decoder prints goes nowhere, and processes that it starts end with its own at the latest: a worker leads a group
of processes, which ends as a whole when the worker does, and when this process does, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from itertools import islice
from multiprocessing import connection, forkserver, util
from pathlib import Path
from typing import Any, TypeVar, cast

from pebble import ProcessExpired, ProcessPool

from idtd_cli import host_memory, provenance
from idtd_cli.engines.engine import Rejected
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.video.decode import DecodeError

T = TypeVar("T")
R = TypeVar("R")

#: Items in flight for each worker. Results wait for those before them: with fewer, workers idle behind a long video.
_AHEAD = 4
_NUMBER = 8  #: bytes that the number of a process is sent in
#: How often work of our own is done again whose process was lost.
_RETRIES = 3


def run(
    job: Callable[[T], R], items: Sequence[T], *, workers: int, seconds: float, memory_mb: int
) -> Generator[R | Rejected, None, None]:
    """Of files: see `Engine`."""
    if items:
        with closing(Pool(min(workers or provenance.cores(), len(items)), seconds, memory_mb)) as pool:
            yield from pool.run(job, items)


def need_room(*, threads: int, gpus: int) -> None:
    """Of this machine there is as much as there is: see `Engine`."""


def compute(
    job: Callable[[T], R], items: Sequence[T], *, workers: int, threads: int, gpus: int
) -> Generator[tuple[int, R], None, None]:
    """Of work of our own: see `Engine`."""
    if not items:
        return
    workers = min(workers or max(1, provenance.cores() // threads), len(items))
    context = _context()
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
                f"A process that computes was lost {lost[number]} times ({_end(error)}).",
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
        context = _context()
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
            return Rejected(f"crashed the decoder ({_end(error)})")


def _end(error: ProcessExpired | BrokenProcessPool) -> str:
    """How a process ended."""
    code = getattr(error, "exitcode", 0) or 0
    return f"signal {-code}" if code < 0 else f"exit code {code}"


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
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.setpgid(0, 0)
    os.write(born.fileno(), os.getpid().to_bytes(_NUMBER, "little"))
    threading.Thread(target=_end_with_parent, args=(scratch,), daemon=True).start()
    _limit(memory_mb)


def _end_with_parent(scratch: str) -> None:
    """Wait for the process that the work is for to end, killed or not, and end with the whole group.

    `scratch` is its folder for the socket of the server that forks workers, which it cannot remove if it was killed.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


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


def _visible(gpus: int) -> list[str]:
    """The first GPUs of those that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (named.split(",") if named else [str(number) for number in range(gpus)])[:gpus]


def _begin_computing(job: Callable[[Any], Any], begun: Any, gpus: list[str], scratch: str) -> None:
    """Start of a process that computes: on a GPU of its own, if there are enough, and for as long as ours lives."""
    global _job
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, args=(scratch,), daemon=True).start()
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


def _context() -> Any:
    """How workers are started: by a server that has imported the decoder once, where the system has fork.

    Never by forking this process: it may hold threads of torch.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["idtd_cli.video.decode", "idtd_cli.recipe"])
    try:
        with _sigint_blocked():
            forkserver.ensure_running()
    except OSError as error:  # the name of a socket has an end, which macOS and pytest reach sooner than others
        if "AF_UNIX" not in str(error):
            raise
        raise InputError(
            f"The name of the folder for temporary files is too long for a socket: {util.get_temp_dir()}.",
            "Set TMPDIR to a shorter one.",
        ) from error
    return context


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """The server and its workers inherit the block: Ctrl-C ends them through this process, without their tracebacks."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
