"""Videos that are chosen: the real clips that stand for all, as a network sees them."""

from __future__ import annotations

from torch import Tensor

from idtd_cli.baselines.coreset import CHOICES, coreset, embeddings
from idtd_cli.errors import IdtdError
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.run_folder import RunFolder
from idtd_cli.runlog import Metrics, Progress
from idtd_cli.stages.distill.job import Job
from idtd_cli.stages.distill.losses import LOOK_EVERY, write
from idtd_cli.students.training import LabelledVideos, fit

_LOWER_FIT = "Lower distill.coreset.fit.step_size."


def choose(job: Job, folder: RunFolder, progress: Progress) -> Tensor:
    """Real clips (N, T, 3, H, W) uint8, chosen by what a network sees in them that is trained on all of them.

    Raises:
        IdtdError: a loss or the embeddings became non-finite.
    """
    config, real = job.config, job.real
    network = job.draw_network(config.seed)
    every = LabelledVideos(real.videos_NF3HW, real.labels_N)
    augmentation = TemporalAugmentation.of(config.augmentation, segments=1)
    steps = config.coreset.fit.steps
    unread: list[tuple[int, Tensor]] = []
    with Metrics(folder.metrics, 0) as metrics, progress.stage(f"train a network ({config.method})", steps) as bar:

        def watch(number: int, loss: Tensor) -> None:
            unread.append((number, loss))
            if len(unread) == LOOK_EVERY or number + 1 == steps:
                for seen, value in unread:
                    write(seen, {"training": value.item()}, metrics, _LOWER_FIT)
                bar.advance(len(unread), training=loss.item())
                unread.clear()

        fit(network, every, job.normalisation, config.coreset.fit, augmentation, job.task.frames, config.seed, watch)
    x_ND = embeddings(real, network.eval().embed, job.normalisation, job.task.frames)
    if not x_ND.isfinite().all():
        raise IdtdError("The network became not finite in the last step of its training.", _LOWER_FIT)
    return real.whole(coreset(x_ND, real.count_C, config.ipc, CHOICES[config.method]), job.task.frames)
