"""The optimisation loop of dataset distillation: one screen, and no files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from idtd_cli.method import seeds
from idtd_cli.method.diversity import diversity_loss
from idtd_cli.method.matching.matching import Look, Match, Matching
from idtd_cli.method.parametrisation import Parametrisation
from idtd_cli.method.shard import Shard
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.method.views import SyntheticViews
from idtd_cli.recipe import DistillConfig


@dataclass(frozen=True)
class Step:
    """What a step did; losses, of all classes, stay on the device until somebody asks for their value."""

    number: int
    matching: Tensor
    diversity: Tensor
    #: views of the synthetic videos that networks saw, of the shard's classes
    views: int


def distil(
    parametrisation: Parametrisation,
    matching: Matching,
    optimiser: torch.optim.Optimizer,
    config: DistillConfig,
    shard: Shard,
    frames: int,
    first_step: int = 0,
) -> Iterator[Step]:
    """Optimise synthetic videos so that networks see them as they see the real clips, all classes in one batch.

    A drawn network, with what it saw of the real clips, serves `config.network_steps` steps: a turn. Everything random
    in a step follows from (config.seed, its number): a run that goes on at step n needs no other state than those of
    the parametrisation, the matching and the optimiser.

    Where ranks share the classes, each computes a share of the loss, that of its own classes, and the shares add up to
    the loss: so do the gradients of what all classes draw on.

    Args:
        parametrisation: the synthetic videos of the shard's classes, of K segments; changed in place.
        matching: the loss, with the networks and the real clips; its parameters are changed in place.
        optimiser: over the parameters of both.
        config: steps, augmentation, seed.
        shard: the classes.
        frames: T of the views that the networks see.
        first_step: where to go on.

    Yields:
        each step after it was taken.
    """
    device = next(parametrisation.parameters()).device
    videos_a_class, segments = config.videos_a_class, parametrisation.segments
    augmentation = TemporalAugmentation.of(config.augmentation, segments)
    views = SyntheticViews(shard, videos_a_class, augmentation, frames, device)
    of_segments = SyntheticViews(shard, videos_a_class, TemporalAugmentation(segments), frames, device)

    def precision() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")

    def diversity_of(videos_NT3HW: Tensor, match: Match, look: Look, generator: torch.Generator) -> Tensor:
        if segments == 1:
            return match.loss.new_zeros(())
        embedding_PD = match.embedding_PD
        if config.augmentation.views == "whole":  # the match did not look at segments
            with precision():
                embedding_PD = look.embed(of_segments.show(videos_NT3HW, of_segments.draw(generator)))
        embedding_NKD = embedding_PD.unflatten(0, (-1, segments))
        return shard.share * diversity_loss(embedding_NKD, look.centre_C1D.repeat_interleave(videos_a_class, 0))

    look: Look | None = None
    for number in range(first_step, config.steps):
        if look is None or number % config.network_steps == 0:
            with precision():
                look = matching.look(number // config.network_steps)

        generator = torch.Generator(device).manual_seed(seeds.of_step(config.seed, number))
        videos_NT3HW = parametrisation.at(number)
        shown = views.shown + of_segments.shown
        with precision():
            match = look.match(videos_NT3HW, views, generator)
        diversity = diversity_of(videos_NT3HW, match, look, generator)
        optimiser.zero_grad(set_to_none=True)
        (match.loss + parametrisation.diversity * diversity).backward()
        for parameter in parametrisation.shared():
            if parameter.grad is not None:
                parameter.grad = shard.ranks.sum(parameter.grad)
        optimiser.step()
        if (number + 1) % config.network_steps == 0:
            matching.learn(number // config.network_steps, videos_NT3HW.detach(), views, generator)
        matched, alike = (shard.ranks.sum(loss.detach()) for loss in (match.loss, diversity))
        yield Step(number, matched, alike, views.shown + of_segments.shown - shown)
