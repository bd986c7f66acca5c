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
from idtd_cli.method.shard import Shard
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
        return distil(self.videos, self.matching, self.optimiser, self.given, Shard(3), FRAMES, first_step)


def run(
    given: DistillConfig, make: Callable[[DistillConfig], Parametrisation] = synthesizer
) -> tuple[list[Step], Parametrisation]:
    made = Run(given, make)
    return list(made.steps()), made.videos


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("make", [synthesizer, pixels])
@pytest.mark.parametrize("matching", ["dm", "dc", "frepo"])
def test_a_run_lowers_the_matching_loss(matching: str, make: Callable[[DistillConfig], Parametrisation]) -> None:
    always_fresh = {"dc__turns": 1, "frepo__turns": 1}  # and so, here, always the same
    small_steps = {"pixel__step_size": 0.03, "idtd__pool__step_size": 0.03}
    given = config(matching=matching, steps=30, batch_real=5, **always_fresh, **small_steps)
    losses = [step.matching.item() for step in Run(given, make, the_same_network=True).steps()]
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
@pytest.mark.parametrize("matching", ["dm", "dc", "frepo"])
def test_going_on_at_a_step_is_as_never_having_stopped(matching: str, network_steps: int) -> None:
    augmentation = {"span": 0.5, "window": 0.5, "speed": 2}
    given = config(matching=matching, steps=7, network_steps=network_steps, augmentation=augmentation)
    _, undisturbed = run(given)

    stopped = Run(given)
    steps = stopped.steps()
    for _ in range(4):
        next(steps)
    again = Run(given)
    again.videos.load_state_dict(stopped.videos.state_dict())
    again.matching.load_state_dict(stopped.matching.state_dict())
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


@pytest.mark.parametrize("views", ["segments", "whole"])
def test_networks_in_bfloat16_see_almost_the_same(views: str) -> None:
    augmentation = {"views": views}
    exact, rough = (
        run(config(steps=3, augmentation=augmentation, precision=precision))[0] for precision in ("float32", "bfloat16")
    )
    for one, two in ((exact[0].matching, rough[0].matching), (exact[0].diversity, rough[0].diversity)):
        assert two.dtype == torch.float32
        assert two.item() == pytest.approx(one.item(), rel=0.02)
        assert two.item() != one.item()
    assert not torch.is_autocast_enabled("cpu")  # whoever takes the steps computes as before


def test_only_the_networks_are_in_bfloat16() -> None:
    made = Run(config(steps=2, precision="bfloat16"))
    seen: list[tuple[torch.dtype, torch.dtype]] = []

    def draw(seed: int) -> Network:
        network = made.networks(seed)
        first = next(module for module in network.modules() if isinstance(module, torch.nn.Conv3d))
        first.register_forward_hook(lambda _, given, found: seen.append((given[0].dtype, found.dtype)))
        return network

    made.matching = build(made.given, RealViews(real(), NORMALISATION, TemporalAugmentation(2), FRAMES), draw)
    list(made.steps())
    assert len(seen) == 2 * 2  # real clips and synthetic ones, in each step
    assert set(seen) == {(torch.float32, torch.bfloat16)}
    assert {parameter.dtype for parameter in made.videos.parameters()} == {torch.float32}


def test_a_step_says_how_many_views_networks_saw() -> None:
    assert [step.views for step in run(config(steps=2))[0]] == [3 * 2] * 2
    both = run(config(steps=2, augmentation={"views": "whole"}))[0]  # whole videos to match, segments to tell apart
    assert [step.views for step in both] == [3 + 3 * 2] * 2
