"""What an engine is: where a job runs on each of many items; and what it gives for a file that gave no result."""

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
    """Runs a job on each item in processes of its own.

    Few items are in flight at once. Closing the generator that gives their results, or an exception such as Ctrl-C in
    its consumer, ends the processes.
    """

    def run(
        self, job: Callable[[T], R], items: Sequence[T], *, workers: int, seconds: float, memory_mb: int
    ) -> Generator[R | Rejected, None, None]:
        """Of files, which may crash, hang or fill their process without harm to the others.

        Results come in the order of the items, the same on every engine.

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

    def need_room(self, *, threads: int, gpus: int) -> None:
        """Look, before anything else is done, whether `compute` could work here.

        Args:
            threads: as it takes them.
            gpus: as it takes them.

        Raises:
            InputError: the engine cannot be used here.
        """

    def compute(
        self, job: Callable[[T], R], items: Sequence[T], *, workers: int, threads: int, gpus: int
    ) -> Generator[tuple[int, R], None, None]:
        """Of work of our own, which may take hours: no limits, and what it raises is raised here.

        Results come as they are there, each with the number of its item: none waits for a slower one, behind which it
        would be lost. An item whose process or machine was lost is worked on again by another, three times.

        Args:
            job: a function that can be pickled, with results that can be too. It travels once, not with each item.
            items: what it is called with, each by itself.
            workers: items at a time; 0 takes as many as there is room for.
            threads: that the job computes with, each: what one item takes of a machine's cores.
            gpus: of this machine, if the job computes on one: each process sees one alone. 0: it computes on the CPU.

        Raises:
            InputError: the engine cannot be used here.
            IdtdError: processes are lost again and again.
        """
