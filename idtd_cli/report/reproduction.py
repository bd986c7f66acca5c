"""The figures that were published with a set beside those that somebody else found for it."""

from __future__ import annotations

import math
from statistics import fmean, pvariance, stdev

from idtd_cli.errors import InputError
from idtd_cli.recipe import Expectation
from idtd_cli.report import statistics, summary
from idtd_cli.report.document import ReportDocument, Result
from idtd_cli.report.expectation import Compared

#: What sums in another order may differ by.
_ROUNDING = 1e-9
#: How far from its mean either end of an interval may be: in standard deviations, at least in those that its students
#: have alone, at most in the largest that they and the videos can have together. Of a normal distribution both are
#: 1.96; of few students or videos, nearly all of which are alike, from 1.0 to 2.7.
_LEAST, _MOST = 0.5, 3.0


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


def need_sound(report: ReportDocument) -> None:
    """
    Raises:
        InputError: the published figures of a result contradict each other.
    """
    views = 1 if report.protocol.scoring.combine == "scores" else report.protocol.scoring.views
    for result in report.results:
        why = _contradiction(result, report.scored_videos, views)
        if why:
            raise InputError(
                f"The published figure of {summary.title(result)} contradicts itself, as if it was changed: {why}.",
                "Tell the owner of the set.",
            )


def _contradiction(result: Result, videos: int, views: int) -> str | None:
    """What of a result does not go together, if anything: of students that were each asked for so many videos, each in
    so many views that count by themselves.
    """
    values, mean, (low, high) = result.top1.values, result.top1.mean, result.interval
    if len(values) != result.top1.n or not all(0 <= value <= 1 for value in values):
        return "it has no share for each of its students"
    if not _same(fmean(values), mean):
        return "its mean is not that of its own students"
    if not _same(stdev(values) if len(values) > 1 else 0.0, result.top1.std):
        return "its deviation is not that of its own students"
    asked, right = sum(map(sum, result.confusion)), sum(row[label] for label, row in enumerate(result.confusion))
    if asked != len(values) * videos * views or not _same(right / asked, mean):
        return "its confusion matrix is of other answers"
    if not 0 <= low <= mean + _ROUNDING or not mean - _ROUNDING <= high <= 1:
        return "its interval lies beside its mean"
    of_students = pvariance(values) / len(values)
    least, most = _LEAST * math.sqrt(of_students), _MOST * math.sqrt(of_students + mean * (1 - mean) / videos)
    if min(mean - low, high - mean) < least - _ROUNDING:
        return "its interval is too narrow for how its students differ"
    if max(mean - low, high - mean) > most + _ROUNDING:
        return "its interval is too wide for that many students and videos"
    return None


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=_ROUNDING)
