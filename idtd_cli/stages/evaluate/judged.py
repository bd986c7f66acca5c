"""What students said of the held-out videos → the results of a report, and the differences between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from idtd_cli.recipe import StudentName
from idtd_cli.report import statistics
from idtd_cli.report.document import Difference, Result, Spread
from idtd_cli.report.summary import form_of
from idtd_cli.stages.evaluate.trained_on import TrainedOn
from idtd_cli.students.predictions import Predictions

#: Sets of a size that are compared with each other, and not with random clips alone: more pairs nobody reads.
_COMPARED = 8


@dataclass(frozen=True)
class Judged:
    """What the students of one architecture, trained on one thing, said."""

    on: TrainedOn
    student: StudentName
    said: list[Predictions]
    seconds: float

    @property
    def right_SN(self) -> NDArray[np.float64]:
        """1 where student s was right about video n, 0 where not; of several views each, the share."""
        return torch.stack([(one.place_VN == 0).double().mean(0) for one in self.said]).numpy()

    def result(self, labels_N: torch.Tensor, classes: int) -> Result:
        """The figures.

        Args:
            labels_N: of the held-out videos.
            classes: C.
        """
        confusion_CC = torch.zeros(classes, classes, dtype=torch.long)
        for one in self.said:
            labels_VN = labels_N.expand_as(one.found_VN)
            confusion_CC.index_put_((labels_VN, one.found_VN), torch.ones_like(labels_VN), accumulate=True)
        on = self.on
        return Result(
            method=on.method,
            set=on.set,
            seed=on.seed,
            selection=on.selection,
            student=self.student,
            ipc=on.ipc,
            frames=on.frames,
            segments=on.segments,
            form=on.form,
            soft_labels=on.soft_labels,
            top1=Spread.of([one.top(1) for one in self.said]),
            interval=statistics.interval(self.right_SN),
            top5=Spread.of([one.top(5) for one in self.said]) if classes > 5 else None,
            confusion=tuple(map(tuple, confusion_CC.tolist())),
            stored_bytes=on.stored_bytes,
            stored_frames=on.stored_frames,
            stored_parameters=on.stored_parameters,
            seconds=round(self.seconds, 2),
        )


def differences(judged: Sequence[Judged]) -> Iterator[Difference]:
    """Of each set from random clips, and from the other sets of its size where no more than these can be read.

    Another form of a set is compared with the set alone.

    Args:
        judged: by students of one architecture.
    """
    for ipc in dict.fromkeys(one.on.ipc for one in judged if one.on.set):
        here = [one for one in judged if one.on.ipc == ipc]
        sets = [one for one in here if one.on.set and one.on.form == "own"]
        random = next(one for one in here if not one.on.set)
        pairs = [(one, random) for one in sets]
        if len(sets) <= _COMPARED:
            pairs += combinations(sets, 2)
        for own in sets:
            others = (one for one in here if one.on.form != "own")
            pairs += [(one, own) for one in others if one.on.set == form_of(str(own.on.set), one.on.form)]
        for one, other in pairs:
            apart, low, high = statistics.difference(one.right_SN, other.right_SN)
            yield Difference(
                one=str(one.on.set),
                other=other.on.set or other.on.method,
                ipc=int(ipc or 0),
                students=min(len(one.said), len(other.said)),
                top1=apart,
                interval=(low, high),
            )
