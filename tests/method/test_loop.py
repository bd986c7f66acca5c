from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from idtd_cli.baselines.pixel import PixelVideos
from idtd_cli.method.loop import Step, distil
from idtd_cli.method.matching.registry import build
from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.parametrisation import Parametrisation
from idtd_cli.method.pool_start import first_pieces, pool_start
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.synthesizer import Synthesizer
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.method.views import RealViews
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
    pixel = given.pixel
    generator = torch.Generator().manual_seed(0)
    pieces = first_pieces(real(), pixel.start, given.ipc * pixel.segments, 1.0, FRAMES // pixel.segments, generator)
    pieces_NKL3HW = pieces.flatten(0, 1).unflatten(0, (-1, pixel.segments))
    return PixelVideos(pixel, NORMALISATION.normalise(pieces_NKL3HW).transpose(2, 3))


class Networks:
    """Random networks, and the seeds that were asked for."""

    def __init__(self, given: DistillConfig, the_same: bool = False) -> None:
        self.given = given
        self.the_same = the_same
        self.seeds: list[int] = []

    def __call__(self, seed: int) -> Network:
        self.seeds.append(seed)
        task = registry.Task(3, FRAMES, 16, 16)
        return registry.build(self.given.network, task, 0 if self.the_same else seed, "cpu")


class Run:
    """The parts of a run, put together."""

    def __init__(
        self,
        given: DistillConfig,
        make: Callable[[DistillConfig], Parametrisation] = synthesizer,
        the_same_network: bool = False,
    ) -> None:
        self.given = given
        self.videos = make(given)
        self.networks = Networks(given, the_same_network)
        augmentation = TemporalAugmentation.of(given.augmentation, self.videos.segments)
        self.matching = build(given, RealViews(real(), NORMALISATION, augmentation, FRAMES), self.networks)
        groups = self.videos.step_sizes() + self.matching.step_sizes()
        self.optimiser = torch.optim.Adam(groups, betas=(given.momentum, 0.99))

    def steps(self, first_step: int = 0) -> Iterator[Step]:
        return distil(self.videos, self.matching, self.optimiser, self.given, 3, FRAMES, first_step)


def run(
    given: DistillConfig, make: Callable[[DistillConfig], Parametrisation] = synthesizer
) -> tuple[list[Step], Parametrisation]:
    made = Run(given, make)
    return list(made.steps()), made.videos


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("make", [synthesizer, pixels])
def test_a_run_lowers_the_matching_loss(make: Callable[[DistillConfig], Parametrisation]) -> None:
    losses = [step.matching.item() for step in Run(config(steps=30, batch_real=5), make, the_same_network=True).steps()]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


@pytest.mark.parametrize("make", [synthesizer, pixels])
def test_the_common_part_counts_by_its_weight(make: Callable[[DistillConfig], Parametrisation]) -> None:
    first = [run(config(steps=1, dm__common=weight), make)[0][0].matching.item() for weight in (0.0, 0.5, 1.0)]
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

    stopped = Run(given)
    steps = stopped.steps()
    for _ in range(4):
        next(steps)
    again = Run(given)
    again.videos.load_state_dict(stopped.videos.state_dict())
    again.optimiser.load_state_dict(stopped.optimiser.state_dict())
    rest = list(again.steps(first_step=4))

    assert [step.number for step in rest] == [4, 5, 6]
    assert same(again.videos, undisturbed)


def test_the_seed_decides() -> None:
    (steps, one), (_, two), (_, other) = (run(config(seed=seed)) for seed in (1, 1, 2))
    assert [step.number for step in steps] == list(range(tiny.STEPS))
    assert same(one, two)
    assert not same(one, other)


@pytest.mark.parametrize(("network_steps", "drawn"), [(1, 6), (2, 3), (4, 2), (10, 1)])
def test_a_network_serves_some_steps_and_is_new_each_time(network_steps: int, drawn: int) -> None:
    made = Run(config(steps=6, network_steps=network_steps))
    list(made.steps())
    assert len(made.networks.seeds) == len(set(made.networks.seeds)) == drawn


def test_the_global_random_state_does_not_matter() -> None:
    _, one = run(config())
    made = Run(config())
    torch.manual_seed(12345)
    for _ in made.steps():
        torch.rand(7)
    assert same(made.videos, one)
