"""How a student is trained from scratch: the same for every set that is compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from idtd_cli.method.draws import uniform
from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.soft_labels import SoftLabels
from idtd_cli.method.streamed_clips import Clips, StreamedClips
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, read
from idtd_cli.recipe import FitConfig
from idtd_cli.students.dropout import masks_from
from idtd_cli.students.together import Together


@dataclass(frozen=True)
class LabelledVideos:
    """A set to train or score on: videos (N, F, 3, H, W) uint8 and labels (N), for the device.

    With soft labels, a student that trains on them learns those in place of the classes. With several draws, F frames
    are so many clips of a video, one after another.
    """

    videos_NF3HW: Clips
    labels_N: Tensor
    soft: SoftLabels | None = None
    draws: int = 1


def fit(
    student: Network,
    train: LabelledVideos,
    normalisation: Normalisation,
    config: FitConfig,
    augmentation: TemporalAugmentation,
    frames: int,
    seed: int,
    watch: Callable[[int, Tensor], None] | None = None,
) -> None:
    """Train one student in place, as `fit_together` trains several."""
    fit_together([student], [train], normalisation, config, augmentation, frames, [seed], watch)


def fit_together(
    students: Sequence[Network],
    trains: Sequence[LabelledVideos],
    normalisation: Normalisation,
    config: FitConfig,
    augmentation: TemporalAugmentation,
    frames: int,
    seeds: Sequence[int],
    watch: Callable[[int, Tensor], None] | None = None,
) -> None:
    """Train students in place with cross-entropy, against the classes or against soft labels.

    One pass over a set shows each segment of each video (`augmentation` says how many) once, in random order, as a
    temporal view of T = `frames` frames; what is left of a pass, and no full batch, is left out, unless it is passes
    that `config` counts. Several students train at once, and nothing waits for the device; each draws from its own seed
    what it would draw alone, and comes out as it would alone but for rounding.

    Args:
        students: one, or several that can be one network (`registry.TOGETHER`).
        trains: of each student, as many videos; the same object where they share them.
        normalisation: as students see clips.
        config: how they are trained.
        augmentation: the views.
        frames: T.
        seeds: of each student.
        watch: told the number of each update, and the mean of the students' losses before it.
    """
    train, first_S1 = _joined(trains)
    device = train.labels_N.device
    generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
    network = students[0] if len(students) == 1 else Together(students)
    optimiser = torch.optim.SGD(
        network.parameters(), lr=config.step_size, momentum=config.momentum, weight_decay=config.weight_decay
    )
    segments = augmentation.segments
    pieces = len(trains[0].labels_N) * segments
    steps = config.updates(pieces)
    fewest = 1 if config.shows_all else min(config.batch, pieces)
    schedule = torch.optim.lr_scheduler.StepLR(
        optimiser, step_size=max(1, steps // 2), gamma=0.1 if config.decay else 1.0
    )
    order_SN = torch.empty(len(students), 0, dtype=torch.long, device=device)

    network.train()
    with masks_from([torch.Generator(device).manual_seed(seed) for seed in seeds], network):
        for step in range(steps):
            if order_SN.shape[1] < fewest:
                passes = [torch.randperm(pieces, generator=generator, device=device) for generator in generators]
                order_SN = torch.stack(passes)
            # From here on B are the clips of all students, those of the first before those of the second.
            piece_SB, order_SN = order_SN[:, : config.batch], order_SN[:, config.batch :]
            video_B, segment_B = (first_S1 + piece_SB // segments).flatten(), (piece_SB % segments).flatten()
            views = augmentation.of_synthetic(video_B, segment_B, generators)
            clips = read(train.videos_NF3HW, views, frames)
            if isinstance(train.videos_NF3HW, StreamedClips):
                train.videos_NF3HW.prefetch((first_S1 + order_SN[:, : config.batch] // segments).flatten())
            if config.flip:
                flipped_B = uniform(video_B, generators) < 0.5
                clips = torch.where(flipped_B[:, None, None, None, None], clips.flip(-1), clips)
            scores_BC = network(for_network(normalisation.batch(clips, len(students))))
            if train.soft is None:
                loss = functional.cross_entropy(scores_BC, train.labels_N[video_B])
            else:
                loss = train.soft.loss(scores_BC, views)
            optimiser.zero_grad(set_to_none=True)
            (len(students) * loss).backward()  # the sum of their losses: each learns from its own
            optimiser.step()
            schedule.step()
            if watch:
                watch(step, loss.detach())
    if isinstance(network, Together):
        network.give_back(students)


def _joined(trains: Sequence[LabelledVideos]) -> tuple[LabelledVideos, Tensor]:
    """The videos of all students, and the number of each student's first one among them, (S, 1)."""
    first, device = trains[0], trains[0].labels_N.device
    if all(train is first for train in trains):
        return first, torch.zeros(len(trains), 1, dtype=torch.long, device=device)
    videos = [train.videos_NF3HW for train in trains if isinstance(train.videos_NF3HW, Tensor)]
    if len(videos) < len(trains) or any(train.soft for train in trains):
        raise ValueError("students that share no videos have them in memory, without soft labels")
    joined = LabelledVideos(torch.cat(videos), torch.cat([train.labels_N for train in trains]))
    return joined, torch.arange(len(trains), device=device)[:, None] * len(first.labels_N)
