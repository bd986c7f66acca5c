"""The redundancy of a prepared set, class by class: measured on its training clips, and as a table.

The embeddings are those of a small ConvNet3D with random weights, as in distribution matching, several times over. It
is the same for every recipe, and sees clips of one size: how a set was prepared is not to decide how redundant it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from idtd_cli.errors import InputError
from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.redundancy import inter_sample, within_sample
from idtd_cli.method.temporal_augmentation import read, whole
from idtd_cli.prepared import PreparedSet, Row
from idtd_cli.recipe import StudentConfig
from idtd_cli.report import text
from idtd_cli.report.document import Spread
from idtd_cli.runlog import Progress
from idtd_cli.students import registry

#: Networks with random weights, each an embedding of its own.
EMBEDDINGS = 3
#: Clips of a class that are compared, drawn by seed, so that memory and time do not grow with the classes' sizes.
MOST_CLIPS = 64

_NETWORK = StudentConfig(widths=(16, 32, 64), kernel=(3, 5, 5), strides=(2, 1, 1), norm="group", dropout=0.0)
#: What the network sees: clips of 16 frames, and eight frames of each as stills; four is the shortest that it takes.
_FRAMES, _SIZE, _STILLS, _STILL_FRAMES = 16, 32, 8, 4
_BATCH = 16


@dataclass(frozen=True)
class ClassRedundancy:
    """One class; spreads are over the embeddings."""

    name: str
    clips: int  #: how many were compared
    inter: Spread | None  #: None for a class of one clip
    within: Spread | None  #: None for clips of one frame


def measure(source: PreparedSet, progress: Progress) -> list[ClassRedundancy]:
    """The redundancy of every class's training clips, the most redundant between its clips first.

    Holds the embeddings of one network at a time, 12 KB a clip.

    Raises:
        InputError: the set has one class, or a shard is damaged.
    """
    drawn = [_draw(list(rows)) for _, rows in groupby(source.rows("train"), key=lambda row: row.label)]
    if len(drawn) < 2:
        raise InputError(
            f"{source.folder} has one class; redundancy is measured against the mean of several.",
            "Prepare one with several.",
        )
    inter_EC, within_EC = [], []
    with progress.stage("redundancy", EMBEDDINGS * sum(map(len, drawn))) as bar:
        for seed in range(EMBEDDINGS):
            network = registry.build(_NETWORK, registry.Task(len(drawn), _FRAMES, _SIZE, _SIZE), seed, "cpu")
            clips_C, frames_C = [], []
            for rows in drawn:
                parts = []
                for first in range(0, len(rows), _BATCH):
                    batch = rows[first : first + _BATCH]
                    parts.append(_embed(network, source, batch))
                    bar.advance(len(batch))
                clips_C.append(torch.cat([clips for clips, _ in parts]))
                frames_C.append(torch.cat([frames for _, frames in parts]))
            inter_EC.append(inter_sample(clips_C).tolist())
            within_EC.append(within_sample(frames_C).tolist())
    found = [
        ClassRedundancy(source.document.classes[rows[0].label], len(rows), _spread(inter), _spread(within))
        for rows, inter, within in zip(drawn, zip(*inter_EC, strict=True), zip(*within_EC, strict=True), strict=True)
    ]
    return sorted(found, key=lambda each: -each.inter.mean if each.inter else math.inf)


def table(found: Sequence[ClassRedundancy]) -> str:
    """The measure as aligned text."""
    rows = [("class", "clips", "inter-sample", "within-sample")]
    rows += [(each.name, str(each.clips), _words(each.inter), _words(each.within)) for each in found]
    return text.aligned(rows)


def _draw(rows: list[Row]) -> list[Row]:
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:MOST_CLIPS]
    return [rows[place] for place in order.sort().values.tolist()]


@torch.no_grad()
def _embed(network: Network, source: PreparedSet, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """Embeddings of clips (B, D), and of some frames of each (B, F, D')."""
    clips_BF3HW = source.read(rows)[:, : source.document.clip.drawn_frames]
    every_B = whole(torch.arange(len(rows)))
    normalisation = Normalisation(source.document.mean, source.document.std, "cpu")

    def seen(frames: int) -> Tensor:
        x_BT3HW = normalisation.normalise(read(clips_BF3HW, every_B, frames))
        small: Tensor = torch.nn.functional.interpolate(x_BT3HW.flatten(0, 1), size=(_SIZE, _SIZE), mode="area")
        return small.view(len(rows), frames, 3, _SIZE, _SIZE)

    stills_BF3HW = seen(min(_STILLS, clips_BF3HW.shape[1]))
    frozen = stills_BF3HW.flatten(0, 1).unsqueeze(1).expand(-1, _STILL_FRAMES, -1, -1, -1)
    frames_BFD = network.embed(for_network(frozen)).unflatten(0, stills_BF3HW.shape[:2])
    return network.embed(for_network(seen(_FRAMES))), frames_BFD


def _spread(values: Sequence[float]) -> Spread | None:
    return None if math.isnan(values[0]) else Spread.of(list(values))


def _words(spread: Spread | None) -> str:
    return f"{spread.mean:.2f} ± {spread.std:.2f}" if spread else "–"
