"""The optimisation loop of dataset distillation: one screen, and no files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from idtd_cli.method.diversity import diversity_loss
from idtd_cli.method.matching.distribution_matching import distribution_matching
from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.synthesizer import Parametrisation
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, read
from idtd_cli.recipe import DistillConfig

#: clips (B, 3, T, H, W) → embeddings (B, D)
Embed = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Step:
    """What a step did; losses stay on the device until somebody asks for their value."""

    number: int
    matching: Tensor
    diversity: Tensor


def distil(
    parametrisation: Parametrisation,
    optimiser: torch.optim.Optimizer,
    real: RealClips,
    normalisation: Normalisation,
    draw_network: Callable[[int], Embed],
    config: DistillConfig,
    frames: int,
    first_step: int = 0,
) -> Iterator[Step]:
    """Optimise synthetic videos so that networks see them as they see the real clips, all classes in one batch.

    A network, with the real clips embedded by it, serves `config.network_steps` steps at a time. Everything random in
    a step is drawn from (config.seed, its number): a run that goes on at step n needs no other state than the
    parameters and the optimiser's.

    Args:
        parametrisation: the synthetic videos, N = C·I of K segments; changed in place.
        optimiser: over its parameters.
        real: the training clips.
        normalisation: of both.
        draw_network: seed → a network with random weights, the same for the same seed.
        config: steps, batch, augmentation, seed.
        frames: T of the views that the networks see.
        first_step: where to go on.

    Yields:
        each step after it was taken.
    """
    device = real.videos_NF3HW.device
    classes, ipc, segments = real.classes, config.ipc, parametrisation.segments
    augmentation = TemporalAugmentation(segments, **config.augmentation.model_dump())
    # Each synthetic video is seen once for each of its segments.
    video_V = torch.arange(classes * ipc, device=device).repeat_interleave(segments)
    segment_V = torch.arange(segments, device=device).repeat(classes * ipc)

    def look(turn: int) -> _Look:
        seed = _seed(config.seed, turn, of_network=True)
        generator = torch.Generator(device).manual_seed(seed)
        embed = draw_network(seed)
        index_B = real.draw(config.batch_real, generator).flatten()
        x_real = read(real.videos_NF3HW, augmentation.of_real(index_B, generator), frames)
        with torch.no_grad():
            real_BD = embed(for_network(normalisation.normalise(x_real)))
        return _Look.of(embed, real_BD.unflatten(0, (classes, -1)))

    seen: _Look | None = None
    for number in range(first_step, config.steps):
        if seen is None or number % config.network_steps == 0:
            seen = look(number // config.network_steps)

        generator = torch.Generator(device).manual_seed(_seed(config.seed, number, of_network=False))
        views = augmentation.of_synthetic(video_V, segment_V, generator)
        synthetic_VD = seen.embed(for_network(read(parametrisation(), views, frames)))

        synthetic_CVD = synthetic_VD.unflatten(0, (classes, -1))
        matching = distribution_matching(seen.mean_C1D, synthetic_CVD, config.common) / seen.scatter
        centre_N1D = seen.mean_C1D.repeat_interleave(ipc, 0)
        diversity = diversity_loss(synthetic_VD.unflatten(0, (classes * ipc, segments)), centre_N1D)
        optimiser.zero_grad(set_to_none=True)
        (matching + parametrisation.diversity * diversity).backward()
        optimiser.step()
        yield Step(number, matching.detach(), diversity.detach())


@dataclass(frozen=True)
class _Look:
    """The real clips as one network sees them.

    `scatter` is the squared distance of a clip from its class mean, summed over classes: divided by it, the loss is
    free of a network's scale, and 1 means class means as far off as single clips are.
    """

    embed: Embed
    mean_C1D: Tensor
    scatter: Tensor

    @classmethod
    def of(cls, embed: Embed, real_CBD: Tensor) -> _Look:
        mean_C1D = real_CBD.float().mean(1, keepdim=True)
        scatter = (real_CBD.float() - mean_C1D).square().sum(2).mean(1).sum()
        return cls(embed, mean_C1D, scatter.clamp(min=torch.finfo(torch.float32).tiny))


def _seed(run: int, number: int, of_network: bool) -> int:
    """A seed of its own for each network and for each step of each run (numbers stay below a billion)."""
    return (run * 2 + of_network) * 1_000_000_007 + number
