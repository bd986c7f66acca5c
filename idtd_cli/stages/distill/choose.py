"""Videos that are chosen: the real clips that stand for all, as a network sees them."""

from __future__ import annotations

import torch
from torch import Tensor

from idtd_cli.baselines.coreset import CHOICES, coreset, embeddings
from idtd_cli.baselines.packing import packed
from idtd_cli.baselines.random_clips import random_clips
from idtd_cli.errors import IdtdError
from idtd_cli.method.parametrisation import Stored
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.run_folder import RunFolder
from idtd_cli.runlog import Metrics, Progress, tensorboard
from idtd_cli.stages.distill.job import Job
from idtd_cli.stages.distill.losses import LOOK_EVERY, write
from idtd_cli.students.training import LabelledVideos, fit

_LOWER_FIT = "Lower distill.coreset.fit.step_size."


def choose(job: Job, folder: RunFolder, progress: Progress) -> tuple[Tensor, Stored]:
    """Videos (N, T, 3, H, W) uint8 of real clips, P of them a video where T is P times as long as a clip: random ones,
    or chosen by what a network sees that is trained on all of them.

    With them, what a set of them stores.

    Raises:
        IdtdError: a loss or the embeddings became non-finite.
    """
    each = job.config.ipc * job.clips_a_video
    if job.config.method == "random":
        generator = torch.Generator(job.device).manual_seed(job.config.seed)
        clips_BS3HW = random_clips(job.real, each, job.task.frames, generator)
    else:
        clips_BS3HW = job.real.whole(_coreset(job, each, folder, progress), job.task.frames)
    videos_NT3HW = packed(clips_BS3HW, job.clips_a_video)
    return videos_NT3HW, Stored(videos_NT3HW.numel())


def _coreset(job: Job, each: int, folder: RunFolder, progress: Progress) -> Tensor:
    """The clips that stand for all, `each` of a class, by their numbers."""
    config, real = job.config, job.real
    network = job.draw_network(config.seed)
    every = LabelledVideos(real.videos_NF3HW, real.labels_N)
    augmentation = TemporalAugmentation.of(config.augmentation, segments=1)
    steps = config.coreset.fit.steps
    unread: list[tuple[int, Tensor]] = []
    with (
        tensorboard(job.tensorboard, 0) as board,
        Metrics(folder.metrics, 0, board) as metrics,
        progress.stage(f"train a network ({config.method})", steps) as bar,
    ):

        def watch(number: int, loss: Tensor) -> None:
            unread.append((number, loss))
            if len(unread) == LOOK_EVERY or number + 1 == steps:
                for seen, value in unread:
                    write(seen, {"training": value.item()}, metrics, _LOWER_FIT)
                bar.advance(len(unread), training=loss.item())
                unread.clear()

        fit(network, every, job.normalisation, config.coreset.fit, augmentation, job.task.frames, config.seed, watch)
    network.eval()

    def embeddings_of(index_N: Tensor) -> Tensor:
        x_ND = embeddings(real, index_N, network.embed, job.normalisation, job.task.frames)
        if not x_ND.isfinite().all():
            raise IdtdError("The network became not finite in the last step of its training.", _LOWER_FIT)
        return x_ND

    return coreset(embeddings_of, real.count_C, each, CHOICES[config.method])
