from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from idtd_cli.baselines.pixel import PixelVideos
from idtd_cli.baselines.random_clips import random_clips
from idtd_cli.method.loop import Embed, Step, distil
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.pool_start import pool_start
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.synthesizer import Parametrisation, Synthesizer
from idtd_cli.recipe import DistillConfig
from idtd_cli.students import registry
from tests import tiny

FRAMES = 4
NORMALISATION = Normalisation((0.2, 0.2, 0.2), (0.3, 0.3, 0.3), "cpu")


def real() -> RealClips:
    labels = torch.arange(3).repeat_interleave(5)
    clips = torch.stack([torch.from_numpy(tiny.draw_clip(label, n)) for n, label in enumerate(labels.tolist())])
    return RealClips(clips, labels, 3)


def config(**changes: object) -> DistillConfig:
    return tiny.recipe(**{f"distill__{key}": value for key, value in changes.items()}).distill


def synthesizer(given: DistillConfig) -> Synthesizer:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    segments = given.idtd.segments
    selectors = given.ipc * segments
    entries = pool_start(real(), given.idtd.pool, selectors, 1.0, FRAMES // segments, generator)
    return Synthesizer(given.idtd, 3, given.ipc, NORMALISATION.normalise(entries).transpose(2, 3))


def pixels(given: DistillConfig) -> PixelVideos:
    clips = random_clips(real(), given.ipc, FRAMES, torch.Generator().manual_seed(0))
    return PixelVideos(given.pixel, NORMALISATION.normalise(clips))


class Networks:
    """Random networks, and the seeds that were asked for."""

    def __init__(self, given: DistillConfig, the_same: bool = False) -> None:
        self.given = given
        self.the_same = the_same
        self.seeds: list[int] = []

    def __call__(self, seed: int) -> Embed:
        self.seeds.append(seed)
        task = registry.Task(3, FRAMES, 16, 16)
        return registry.build(self.given.network, task, 0 if self.the_same else seed, "cpu").requires_grad_(False).embed


def optimiser(parametrisation: Parametrisation, given: DistillConfig) -> torch.optim.Adam:
    return torch.optim.Adam(parametrisation.step_sizes(), betas=(given.momentum, 0.99))


def run(
    given: DistillConfig, make: Callable[[DistillConfig], Synthesizer | PixelVideos] = synthesizer
) -> tuple[list[Step], Synthesizer | PixelVideos]:
    made = make(given)
    steps = distil(made, optimiser(made, given), real(), NORMALISATION, Networks(given), given, FRAMES)
    return list(steps), made


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("make", [synthesizer, pixels])
def test_a_run_lowers_the_matching_loss(make: Callable[[DistillConfig], Synthesizer | PixelVideos]) -> None:
    given = config(steps=30, batch_real=5)
    made = make(given)
    networks = Networks(given, the_same=True)
    losses = [
        step.matching.item()
        for step in distil(made, optimiser(made, given), real(), NORMALISATION, networks, given, FRAMES)
    ]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


@pytest.mark.parametrize("make", [synthesizer, pixels])
def test_the_common_part_counts_by_its_weight(make: Callable[[DistillConfig], Synthesizer | PixelVideos]) -> None:
    first = [run(config(steps=1, common=weight), make)[0][0].matching.item() for weight in (0.0, 0.5, 1.0)]
    assert 0 < first[0] < first[1] < first[2]
    assert first[1] == pytest.approx((first[0] + first[2]) / 2, rel=1e-4)


def test_diversity_counts_by_its_weight() -> None:
    loose, _ = run(config(steps=30, idtd__diversity=0.0))
    strict, _ = run(config(steps=30, idtd__diversity=100.0))
    last = [sum(step.diversity.item() for step in steps[-10:]) for steps in (loose, strict)]
    assert last[1] < 0.5 * last[0]


@pytest.mark.parametrize("network_steps", [1, 3, 5])
def test_going_on_at_a_step_is_as_never_having_stopped(network_steps: int) -> None:
    given = config(steps=7, network_steps=network_steps, augmentation={"span": 0.5, "window": 0.5, "speed": 2})
    _, undisturbed = run(given)

    stopped = synthesizer(given)
    first = optimiser(stopped, given)
    steps = distil(stopped, first, real(), NORMALISATION, Networks(given), given, FRAMES)
    for _ in range(4):
        next(steps)
    again = synthesizer(given)
    again.load_state_dict(stopped.state_dict())
    second = optimiser(again, given)
    second.load_state_dict(first.state_dict())
    rest = list(distil(again, second, real(), NORMALISATION, Networks(given), given, FRAMES, first_step=4))

    assert [step.number for step in rest] == [4, 5, 6]
    assert same(again, undisturbed)


def test_the_seed_decides() -> None:
    (steps, one), (_, two), (_, other) = (run(config(seed=seed)) for seed in (1, 1, 2))
    assert [step.number for step in steps] == list(range(tiny.STEPS))
    assert same(one, two)
    assert not same(one, other)


@pytest.mark.parametrize(("network_steps", "drawn"), [(1, 6), (2, 3), (4, 2), (10, 1)])
def test_a_network_serves_some_steps_and_is_new_each_time(network_steps: int, drawn: int) -> None:
    given = config(steps=6, network_steps=network_steps)
    made, networks = synthesizer(given), Networks(given)
    list(distil(made, optimiser(made, given), real(), NORMALISATION, networks, given, FRAMES))
    assert len(networks.seeds) == len(set(networks.seeds)) == drawn


def test_the_global_random_state_does_not_matter() -> None:
    _, one = run(config())
    made = synthesizer(config())
    torch.manual_seed(12345)
    given = config()
    for _ in distil(made, optimiser(made, given), real(), NORMALISATION, Networks(given), given, FRAMES):
        torch.rand(7)
    assert same(made, one)
