"""The figures that were published with a set beside those that somebody else found for it."""

from __future__ import annotations

import math
from statistics import fmean

from idtd_cli.errors import InputError
from idtd_cli.recipe import Expectation
from idtd_cli.report import statistics, summary
from idtd_cli.report.document import ReportDocument, Result
from idtd_cli.report.expectation import Compared

#: What sums in another order may differ by.
_ROUNDING = 1e-9


def compared(published: ReportDocument, own: Result, found: ReportDocument) -> list[Compared]:
    """Each result of a report that has its like in the published one, as expected from there.

    A figure may be as far away as chance takes two means whose intervals are those of the two reports.

    Args:
        published: the report that came with a set.
        own: the result of that set in it.
        found: a report on that set alone.

    Raises:
        InputError: the published figure of the set is of another method or size than the set: it was changed.
    """
    rows = []
    for result in found.results:
        main = result.set is not None and result.form == "own" and result.student == found.protocol.student.name
        if main and (own.method, own.ipc) != (result.method, result.ipc):
            raise InputError(
                f"The published figure of the set is one of {summary.title(own)}, which it is not: it was changed.",
                "Tell the owner of the set.",
            )
        like = own if main else _like(result, published, own)
        if like is None:  # one that was asked for in addition
            continue
        within = statistics.apart(like.top1.mean, like.interval, result.top1.mean, result.interval)
        student = "" if result.student == found.protocol.student.name else f", {result.student}"
        expected = Expectation(
            of=f"{summary.title(result)}{student}"[:80],
            top1=like.top1.mean,
            within=min(within, 1.0),
            source=f"{like.top1.n} student{'s' * (like.top1.n > 1)}, {published.hardware}",
        )
        rows.append(Compared(expected, result.top1.mean))
    return rows


def _like(result: Result, published: ReportDocument, own: Result) -> Result | None:
    for other in published.results:
        same_set = other.set == (None if result.set is None else summary.form_of(str(own.set), result.form))
        if same_set and (other.method, other.ipc, other.student) == (result.method, result.ipc, result.student):
            return other
    return None


def need_sound(result: Result) -> None:
    """
    Raises:
        InputError: a published figure is not that of its own students.
    """
    spread, (low, high) = result.top1, result.interval
    sound = (
        len(spread.values) == spread.n > 0
        and math.isclose(fmean(spread.values), spread.mean, abs_tol=_ROUNDING)
        and 0 <= low <= spread.mean + _ROUNDING
        and spread.mean - _ROUNDING <= high <= 1
    )
    if not sound:
        raise InputError(
            f"The published figure of {summary.title(result)} is not that of its own students: it was changed.",
            "Tell the owner of the set.",
        )
