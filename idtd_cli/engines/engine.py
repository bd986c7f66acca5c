"""What an engine is, and what it gives for a file that gave no result."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Rejected:
    """A file that gave no result; `reason` goes on after its name: "took longer than 60 s"."""

    reason: str


class Engine(Protocol):
    """Runs a job on each item in processes that a bad file may crash, hang or fill without harm to the others."""

    def __call__(
        self, job: Callable[[T], R], items: Sequence[T], *, workers: int, seconds: float, memory_mb: int
    ) -> Generator[R | Rejected, None, None]:
        """Results come in the order of the items, the same on every engine; few items are in flight at once.

        Closing the generator, or an exception such as Ctrl-C in its consumer, ends the processes.

        Args:
            job: a function that can be pickled, with results that can be too.
            items: what it is called with, each by itself.
            workers: number of processes; 0 takes one a core.
            seconds: time limit for one item.
            memory_mb: MiB that one item may need, beyond what its process takes itself. Not enforced outside of Linux.

        Raises:
            InputError: the engine cannot be used here.
            IdtdError: no process can be started, or they are lost again and again.
        """
