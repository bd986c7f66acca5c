"""The figures that a recipe's grid asks for, of the cells at its first place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from idtd_cli.baselines.random_clips import random_clips
from idtd_cli.distilled import DistilledSet
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, read
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import FigureName
from idtd_cli.report import redundancy, summary
from idtd_cli.report.contact_sheet import frames_last
from idtd_cli.report.figures.figure import Figure
from idtd_cli.report.figures.filmstrips import filmstrips
from idtd_cli.report.figures.motion_chart import motion_chart, stretches
from idtd_cli.report.figures.redundancy_chart import redundancy_chart
from idtd_cli.report.table import Scores
from idtd_cli.runlog import Progress
from idtd_cli.stages import clips

#: Real clips of a class that are looked at for `temporal`.
_REAL = 32


@dataclass(frozen=True)
class Arm:
    """An arm whose cell is done."""

    name: str
    prepared: Path
    sets: tuple[Path, ...]
    scores: Scores


def draw(names: Sequence[FigureName], arms: Sequence[Arm], progress: Progress) -> Iterator[Figure]:
    """Each figure that is asked for.

    Args:
        names: which.
        arms: of one place of the grid, in its order.
        progress: where to report to.
    """
    for name in names:
        yield _FIGURES[name](arms, progress)


def _temporal(arms: Sequence[Arm], progress: Progress) -> Figure:
    pieces, real = {}, {}
    for arm in arms:
        opened = [DistilledSet.open(path) for path in arm.sets]
        segments = opened[0].document.segments
        pieces[arm.name] = torch.cat([stretches(each.videos_NT3HW, segments) for each in opened])
        if (title := f"real clips, as {segments} pieces" if segments > 1 else "real clips") not in real:
            frames = opened[0].document.frames // segments
            real[title] = _real_stretches(_real(arm, progress), segments, frames)
    return motion_chart(real | pieces, frozenset(real))


def _real_stretches(real: RealClips, segments: int, frames: int) -> torch.Tensor:
    """Random real clips, each seen as long as a segment, and as a student that learnt from segments takes one."""
    generator = torch.Generator().manual_seed(0)
    index_B = real.draw(min(_REAL, int(real.count_C.min())), generator).flatten()
    views = TemporalAugmentation(segments).of_real(index_B, generator)
    return read(real.videos_NF3HW, views, frames).round().to(torch.uint8)


def _redundancy(arms: Sequence[Arm], progress: Progress) -> Figure:
    one, other = arms[:2]
    found = redundancy.measure(PreparedSet.open(one.prepared), progress)
    classes = one.scores.report.classes
    gain = {label: 100 * (_accuracy(one, n) - _accuracy(other, n)) for n, label in enumerate(classes)}
    return redundancy_chart(found, gain, one.name, other.name)


def _accuracy(arm: Arm, label: int) -> float:
    """Of a class, over all sets and students."""
    results = [result for result in summary.ordered(arm.scores.report) if result.set in arm.scores.sets]
    rows = [result.confusion[label] for result in results if result.form == "own"]
    return sum(row[label] for row in rows) / max(1, sum(map(sum, rows)))


def _qualitative(arms: Sequence[Arm], progress: Progress) -> Figure:
    opened = {arm.name: DistilledSet.open(arm.sets[0]) for arm in arms}
    frames = next(iter(opened.values())).document.frames
    real = random_clips(_real(arms[0], progress), 1, frames, torch.Generator().manual_seed(0))
    columns = {"real": frames_last(real)}
    columns |= {name: frames_last(each.videos_NT3HW[:: each.document.videos_a_class]) for name, each in opened.items()}
    made = {"real": arms[0].prepared.name} | {arm.name: arm.sets[0].name for arm in arms}
    return filmstrips(arms[0].scores.report.classes, columns, made)


def _real(arm: Arm, progress: Progress) -> RealClips:
    source = PreparedSet.open(arm.prepared)
    return RealClips(*clips.load(source, "train", "cpu", progress), len(source.document.classes))


_FIGURES: dict[FigureName, Callable[[Sequence[Arm], Progress], Figure]] = {
    "temporal": _temporal,
    "redundancy": _redundancy,
    "qualitative": _qualitative,
}
