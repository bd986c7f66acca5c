"""Many hostile inputs to one reader, each of which has to end in a value or in a refusal, and in nothing else.

Watched is what the process does meanwhile: Python's audit events tell of every file that it opens, every process
that it starts, every connection, and every name that an unpickler looks up.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from idtd_cli.errors import IdtdError

T = TypeVar("T")

#: CPU seconds that a case may take: a hundred times what the slowest takes.
_SECONDS = 20.0
#: MiB of address space that all cases may take on top of what the process had.
_MEMORY = 1024
_HERE = ("127.0.0.1", "::1", "localhost")
_CHANGES = frozenset(("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.symlink", "os.link", "os.truncate"))
_NEVER = frozenset(
    ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "pickle.find_class")
)


def cases(usual: int) -> int:
    """How many cases a test tries: as many as the suite has time for, IDTD_FUZZ_TIMES over."""
    return usual * int(os.environ.get("IDTD_FUZZ_TIMES", 1))


class Slot:
    """A file whose content is one case after the other."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Kept open: to cut a file to nothing and close it makes some file systems write it to the disk each time.
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 - closed with the process
        self.path = path

    def put(self, data: bytes) -> None:
        self._file.seek(0)
        self._file.write(data)
        self._file.truncate(len(data))


@dataclass
class Found:
    """What came of all cases.

    Attributes:
        values: cases that gave a value.
        refused: how often each error, by its words without what is quoted in them, refused one.
        broken: the cases that ended in anything else, and how.
    """

    values: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    broken: list[tuple[Any, str]] = field(default_factory=list)
    seconds: float = 0.0
    grown: int = 0  #: MiB of memory

    @property
    def cases(self) -> int:
        return self.values + self.refused.total() + len(self.broken)


def attempt(
    read: Callable[[T], object], inputs: Iterable[T], folder: Path, port: int | None = None, runs: str = ""
) -> Found:
    """Give each input to a reader.

    Args:
        read: may raise IdtdError, with a message, and nothing else.
        inputs: the cases.
        folder: all that the reader may open, or write, lies in it.
        port: on this machine, of the one server that it may ask.
        runs: the name of the one program that it may start.
    """
    found = Found()
    began, before = time.perf_counter(), _peak()
    # Threads, as of a server, take address space that they never use.
    bounded = nullcontext() if port else _bounded()
    with _watched(folder, port, runs) as seen, bounded, _timed() as rewind:
        for case in inputs:
            rewind()
            try:
                read(case)
                found.values += 1
            except IdtdError as error:
                found.refused[type(error).__name__] += 1
                if not error.message.strip():
                    found.broken.append((case, "an error without words"))
            except (Exception, _TooLongError) as error:
                found.broken.append((case, f"{type(error).__name__}: {str(error)[:200]}"))
            if seen:
                found.broken.append((case, f"it did {seen[0]}"))
                seen.clear()
    found.seconds, found.grown = time.perf_counter() - began, _peak() - before
    told(found.cases, found.seconds, f"{found.values} values, {found.refused.total()} refusals, {found.grown} MiB more")
    return found


def told(count: int, seconds: float, words: str) -> None:
    """A line for whoever runs with `-s`."""
    sys.stderr.write(f" {count} cases, {seconds:.1f} s: {words}\n")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


class _TooLongError(BaseException):
    """A case took too long. No reader catches it."""


@contextmanager
def _timed() -> Iterator[Callable[[], None]]:
    """Gives a function that begins the time of the next case. It is that of the processor, whatever else runs."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TooLongError(f"more than {_SECONDS:g} s")

    old = signal.signal(signal.SIGVTALRM, stop)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS) and None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)


@contextmanager
def _bounded() -> Iterator[None]:
    """Address space for no more than the cases may take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (own + (_MEMORY << 20), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


#: Who listens to the audit events; a hook can be put in place, and never be taken out.
_listeners: list[Callable[[str, tuple[Any, ...]], None]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _listeners:
        _listeners[-1](event, arguments)


sys.addaudithook(_hook)


def _absolute(path: str | bytes | os.PathLike[str]) -> str:
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - as it was asked for: links are not followed


@contextmanager
def _watched(folder: Path, port: int | None, runs: str) -> Iterator[list[str]]:
    """What the process does that no reader should, as it does it."""
    top = os.path.realpath(folder) + os.sep
    own = (*map(os.path.realpath, {sys.prefix, sys.base_prefix, *filter(None, sys.path)}), "/proc", "/dev/urandom")
    nowhere = (os.devnull,) if runs else ()  # is where a program's other streams lead
    seen: list[str] = []

    def listen(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes | Path):
            path, writes = (
                _absolute(arguments[0]),
                arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT),
            )
            # Python reads its own modules as they are needed.
            if path not in nowhere and not path.startswith(top) and (writes or not path.startswith(own)):
                seen.append(f"open {path}")
        elif event in _CHANGES:
            names = arguments[1:2] if event == "os.symlink" else arguments  # what a link says is no path yet
            paths = [_absolute(a) for a in names if isinstance(a, str | bytes)]
            # What is relative to an open folder is inside of what was opened.
            if arguments[-1] in (-1, None) and not all(path.startswith(top) for path in paths):
                seen.append(f"{event} {paths}")
        elif event in _NEVER and not (
            (event == "socket.connect" and arguments[1][0] in _HERE and arguments[1][1] == port)
            or (event == "subprocess.Popen" and Path(str(arguments[0])).name == runs)
        ):
            seen.append(f"{event} {arguments!r:.200}")

    _listeners.append(listen)
    try:
        yield seen
    finally:
        _listeners.remove(listen)
