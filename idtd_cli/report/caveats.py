"""What keeps the figures of a report from saying more than they can; each is worked out from the report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from idtd_cli.report.document import ReportDocument, Result
from idtd_cli.report.summary import between, ordered, share, size, sized, title

#: With fewer students, a bootstrap interval is clearly too narrow.
_STUDENTS = 5
#: With fewer videos, a single one is more than a point of a score.
_VIDEOS = 100
#: The same of one class: more than ten points.
_VIDEOS_A_CLASS = 10
#: Sets of a size may differ by this share of what they store before it is told.
_BYTES = 0.02
_NAMED = 4


def caveats(report: ReportDocument) -> list[str]:
    """A sentence for each; none where nothing is to be said."""
    kinds = (_selection, _split, _students, _videos, _videos_a_class, _chance, _noise, _distillations)
    return [*(line for kind in kinds for line in kind(report)), *sizes(ordered(report))]


def _selection(report: ReportDocument) -> Iterator[str]:
    chosen = [r for r in ordered(report) if r.selection == "peer-best-of-test" and r.form == "own"]
    if chosen:
        yield (
            f"The step of {_listed(map(sized, chosen))} was chosen by its score on the test videos (selection "
            "peer-best-of-test), as the peers do: the figure says how well it fits these videos, and is no match for "
            "those of sets that were chosen without them."
        )


def _split(report: ReportDocument) -> Iterator[str]:
    if report.scored_split != "test":
        yield f"Scored on the {report.scored_split} split: for tuning, not for publication."


def _students(report: ReportDocument) -> Iterator[str]:
    few: dict[int, list[Result]] = {}
    for result in ordered(report):
        if result.top1.n < _STUDENTS:
            few.setdefault(result.top1.n, []).append(result)
    if few:
        who = "; ".join(
            f"{n} of {sized(same[0]) if len(same) == 1 else f'each of {len(same)} results'}" for n, same in few.items()
        )
        yield f"Few students ({who}): with fewer than {_STUDENTS}, spreads and intervals come out too small."


def _videos(report: ReportDocument) -> Iterator[str]:
    if report.scored_videos < _VIDEOS:
        yield (
            f"Few {report.scored_split} videos: each of the {report.scored_videos} is "
            f"{100 / report.scored_videos:.1f} points of a student's score."
        )


def _videos_a_class(report: ReportDocument) -> Iterator[str]:
    views = report.protocol.scoring.views if report.protocol.scoring.combine == "accuracy" else 1
    counts = [sum(row) // (views * report.results[0].top1.n) for row in report.results[0].confusion]
    none = [name for name, count in zip(report.classes, counts, strict=True) if not count]
    few = [f"{name} {count}" for name, count in zip(report.classes, counts, strict=True) if 0 < count < _VIDEOS_A_CLASS]
    if none:
        yield f"No {report.scored_split} video of {_listed(none)}."
    if few:
        yield f"Few {report.scored_split} videos of some classes ({_listed(few)}): their shares move in large steps."


def _chance(report: ReportDocument) -> Iterator[str]:
    near = [result for result in ordered(report) if result.interval[0] <= report.chance]
    if near:
        who = _listed(f"{sized(result)} ({between(result.interval)})" for result in near)
        yield f"Not told from chance ({share(report.chance)}): {who}."


def _noise(report: ReportDocument) -> Iterator[str]:
    noise = sum(pair.is_noise for pair in report.differences)
    if noise:
        count = len(report.differences)
        which = "The difference is" if count == 1 else f"{noise} of {count} differences {'is' if noise == 1 else 'are'}"
        yield f"{which} within the noise, and no ranking."


def _distillations(report: ReportDocument) -> Iterator[str]:
    def kind(result: Result) -> tuple[int, str]:
        return result.ipc or 0, title(result)

    made = [result for result in ordered(report) if result.set and result.method != "other" and result.form == "own"]
    sets = sorted(made, key=kind)
    groups = [list(group) for _, group in groupby(sets, key=kind)]
    once = [group[0] for group in groups if len({result.seed for result in group}) == 1]
    if once:
        who = "each set" if len(once) == len(groups) else _listed(f"{title(r)}, {r.ipc} a class" for r in once)
        yield f"One distillation of {who}: what another seed of it would change is in no interval."


def sizes(results: Iterable[Result]) -> Iterator[str]:
    """Of results, by videos a class: where these do not store the same."""
    sized_results = [result for result in results if result.ipc]
    for ipc, group in groupby(sized_results, key=lambda result: result.ipc):
        by_bytes = sorted(group, key=lambda result: result.stored_bytes)
        least, most = by_bytes[0], by_bytes[-1]
        if most.stored_bytes > least.stored_bytes * (1 + _BYTES):
            yield (
                f"Not all store the same at {ipc} a class: from {size(least.stored_bytes)} ({title(least)}) to "
                f"{size(most.stored_bytes)} ({title(most)})."
            )


def _listed(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are."""
    every: Sequence[str] = list(names)
    rest = len(every) - _NAMED
    return "; ".join(every[:_NAMED]) + (f"; and {rest} more" if rest > 0 else "")
