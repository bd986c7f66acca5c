"""The classes that this process works on, where several share the classes of a run."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from idtd_cli.ranks import ALONE, Ranks


@dataclass(frozen=True)
class Shard:
    """A block of the C classes of a run; all of them, unless there are other ranks.

    Random numbers are drawn for all classes on every rank, as one process would draw them, and each takes its own.

    Attributes:
        of: C.
        ranks: those that share them.
    """

    of: int
    ranks: Ranks = ALONE

    @property
    def classes(self) -> range:
        """The own ones."""
        return self._classes(self.ranks.number)

    @property
    def share(self) -> float:
        """Of the classes: a mean over classes is the sum over ranks of the means of their own, each times this."""
        return len(self.classes) / self.of

    def rows(self, count: int) -> slice:
        """The own ones of `count` rows that are in class order, as many of each class."""
        own, each = self.classes, count // self.of
        return slice(own.start * each, own.stop * each)

    def joined(self, own: Tensor) -> Tensor:
        """Rows of all classes, as many of each, from the own ones: on rank 0; elsewhere the own ones."""
        each = len(own) // len(self.classes)
        return self.ranks.joined(own, [each * len(self._classes(number)) for number in range(self.ranks.of)])

    def _classes(self, number: int) -> range:
        return range(self.of * number // self.ranks.of, self.of * (number + 1) // self.ranks.of)
