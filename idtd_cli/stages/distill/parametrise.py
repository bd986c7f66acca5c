"""The synthetic videos of a method before the first step."""

from __future__ import annotations

from collections.abc import Callable

import torch

from idtd_cli.baselines.pixel import PixelVideos
from idtd_cli.baselines.static_dynamic import StaticDynamicVideos
from idtd_cli.method.parametrisation import Parametrisation
from idtd_cli.method.pool_start import first_pieces, pool_start
from idtd_cli.method.synthesizer import Synthesizer
from idtd_cli.stages.distill.job import Job


def parametrise(job: Job) -> Parametrisation:
    """The learnable videos of the recipe's method, made from real clips, on the job's device."""
    generator = torch.Generator(job.device).manual_seed(job.config.seed)
    # The networks of a step have seeds of their own; this covers first weights, such as the fusor's.
    torch.manual_seed(job.config.seed)
    return PARAMETRISATIONS[job.config.method](job, generator).to(job.device)


def _idtd(job: Job, generator: torch.Generator) -> Parametrisation:
    idtd, ipc = job.config.idtd, job.config.ipc
    selectors, frames_L = ipc * idtd.segments, job.frames // idtd.segments
    entries = pool_start(job.real, idtd.pool, selectors, job.config.augmentation.span, frames_L, generator)
    return Synthesizer(idtd, job.task.classes, ipc, job.normalisation.normalise(entries).transpose(2, 3))


def _pixel(job: Job, generator: torch.Generator) -> Parametrisation:
    pixel, ipc = job.config.pixel, job.config.ipc
    pieces, frames_L = ipc * pixel.segments, job.frames // pixel.segments
    pieces_CML3HW = first_pieces(job.real, pixel.start, pieces, job.config.augmentation.span, frames_L, generator)
    pieces_NKL3HW = pieces_CML3HW.flatten(0, 1).unflatten(0, (-1, pixel.segments))
    return PixelVideos(pixel, job.normalisation.normalise(pieces_NKL3HW).transpose(2, 3))


def _static_dynamic(job: Job, generator: torch.Generator) -> Parametrisation:
    config, real = job.config, job.real
    clips = job.clips_a_video
    count, one_frame = config.ipc * clips * config.static_dynamic.images, 1 / real.videos_NF3HW.shape[1]
    images_CM13HW = first_pieces(real, "random", count, one_frame, 1, generator)
    images_US3HW = images_CM13HW.squeeze(2).flatten(0, 1).unflatten(0, (-1, config.static_dynamic.images))
    image_steps = round(config.static_dynamic.image_share * config.steps)
    images_US3HW = job.normalisation.normalise(images_US3HW)
    return StaticDynamicVideos(config.static_dynamic, images_US3HW, job.task.frames, image_steps, clips)


PARAMETRISATIONS: dict[str, Callable[[Job, torch.Generator], Parametrisation]] = {
    "idtd": _idtd,
    "pixel": _pixel,
    "static-dynamic": _static_dynamic,
}
