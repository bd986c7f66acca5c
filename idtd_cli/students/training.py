"""How a student is trained from scratch: the same for every set that is compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.soft_labels import SoftLabels
from idtd_cli.method.streamed_clips import Clips, StreamedClips
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, read
from idtd_cli.recipe import FitConfig


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
    """Train a student in place with cross-entropy, against the classes or against soft labels.

    One pass over a set shows each segment of each video (`augmentation` says how many) once, in random order, as a
    temporal view of T = `frames` frames; what is left of a pass, and no full batch, is left out, unless it is passes
    that `config` counts. `watch` is told the number of each update and the loss before it.
    """
    device = train.labels_N.device
    generator = torch.Generator(device).manual_seed(seed)
    optimiser = torch.optim.SGD(
        student.parameters(), lr=config.step_size, momentum=config.momentum, weight_decay=config.weight_decay
    )
    segments = augmentation.segments
    pieces = len(train.labels_N) * segments
    steps = config.updates(pieces)
    fewest = 1 if config.shows_all else min(config.batch, pieces)
    schedule = torch.optim.lr_scheduler.StepLR(
        optimiser, step_size=max(1, steps // 2), gamma=0.1 if config.decay else 1.0
    )
    order = torch.empty(0, dtype=torch.long, device=device)

    student.train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)  # dropout has no generator of its own
        for step in range(steps):
            if len(order) < fewest:
                order = torch.randperm(pieces, generator=generator, device=device)
            piece_B, order = order[: config.batch], order[config.batch :]
            video_B, segment_B = piece_B // segments, piece_B % segments
            views = augmentation.of_synthetic(video_B, segment_B, generator)
            clips = read(train.videos_NF3HW, views, frames)
            if isinstance(train.videos_NF3HW, StreamedClips):
                train.videos_NF3HW.prefetch(order[: config.batch] // segments)
            if config.flip:
                flipped_B = torch.rand(len(clips), generator=generator, device=device) < 0.5
                clips = torch.where(flipped_B[:, None, None, None, None], clips.flip(-1), clips)
            scores_BC = student(for_network(normalisation.batch(clips)))
            if train.soft is None:
                loss = functional.cross_entropy(scores_BC, train.labels_N[video_B])
            else:
                loss = train.soft.loss(scores_BC, views)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            if watch:
                watch(step, loss.detach())
