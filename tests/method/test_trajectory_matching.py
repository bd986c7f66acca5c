from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from idtd_cli.baselines.pixel import PixelVideos
from idtd_cli.method.loop import distil
from idtd_cli.method.matching.registry import build
from idtd_cli.method.matching.trajectories import Trajectories
from idtd_cli.method.matching.trajectory_matching import TrajectoryMatching
from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.shard import Shard
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, Views
from idtd_cli.method.views import RealViews, SyntheticViews
from idtd_cli.recipe import DistillConfig
from idtd_cli.students import registry
from tests import tiny

FRAMES, CLASSES = 4, 3
SNAPSHOTS = 5


def config(**changes: Any) -> DistillConfig:
    given = {"matching": "mtt", "method": "pixel"} | changes
    return tiny.recipe(**{f"distill__{key}": value for key, value in given.items()}).distill


def network(seed: int = 0, dropout: float = 0.0) -> Network:
    return registry.build(config(network__dropout=dropout).network, registry.Task(CLASSES, FRAMES, 16, 16), seed, "cpu")


def videos() -> Tensor:
    """Two of each class."""
    return torch.randn(CLASSES * 2, FRAMES, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def synthetic() -> SyntheticViews:
    return SyntheticViews(Shard(CLASSES), 2, TemporalAugmentation(1), FRAMES, torch.device("cpu"))


def real_views() -> RealViews:
    labels = torch.arange(CLASSES).repeat_interleave(4)
    clips = torch.stack([torch.from_numpy(tiny.draw_clip(label, n)) for n, label in enumerate(labels.tolist())])
    normalisation = Normalisation((0.2, 0.2, 0.2), (0.3, 0.3, 0.3), "cpu")
    return RealViews(RealClips(clips, labels, CLASSES), normalisation, TemporalAugmentation(1), FRAMES)


def taught(x_NT3HW: Tensor, steps: int, step_size: float) -> dict[str, Tensor]:
    """An expert that was trained on synthetic videos, all of them in each step, by the optimiser of the library."""
    student = network(3).eval()
    optimiser = torch.optim.SGD(student.parameters(), lr=step_size)
    snapshots = []
    for _ in range(SNAPSHOTS):
        snapshots.append({name: weight.clone() for name, weight in student.state_dict().items()})
        for _ in range(steps):
            optimiser.zero_grad()
            labels = torch.arange(CLASSES).repeat_interleave(2)
            functional.cross_entropy(student(x_NT3HW.transpose(1, 2)), labels).backward()
            optimiser.step()
    return {name: torch.stack([weights[name] for weights in snapshots]) for name in snapshots[0]}


def random_experts(count: int = 3, values: tuple[float, ...] = (0.0,) * SNAPSHOTS) -> list[dict[str, Tensor]]:
    """Random weights that have nothing to do with each other; a value is added to all of a snapshot."""
    experts = [
        [network(10 * expert + snapshot).state_dict() for snapshot in range(SNAPSHOTS)] for expert in range(count)
    ]
    return [
        {name: torch.stack([w[name] + value for w, value in zip(expert, values, strict=True)]) for name in expert[0]}
        for expert in experts
    ]


def matching(experts: list[dict[str, Tensor]], dropout: float = 0.0, **changes: Any) -> TrajectoryMatching:
    found = build(config(**changes), real_views(), lambda seed: network(seed, dropout), Trajectories(experts))
    assert isinstance(found, TrajectoryMatching)
    return found


def loss(made: TrajectoryMatching, x_NT3HW: Tensor, turn: int = 0, seed: int = 1) -> Tensor:
    return made.look(turn).match(x_NT3HW, synthetic(), torch.Generator().manual_seed(seed)).loss


def test_videos_that_an_expert_was_trained_on_match_it() -> None:
    x_NT3HW = videos()
    experts = [taught(x_NT3HW, steps=4, step_size=0.05)]
    same = {"mtt__student_steps": 8, "mtt__expert_snapshots": 2, "mtt__batch": 64, "mtt__inner_step_size": 0.05}
    for turn in range(4):
        assert loss(matching(experts, **same), x_NT3HW, turn).item() < 1e-6
        assert loss(matching(experts, **same), -x_NT3HW, turn).item() > 0.1
        assert loss(matching(experts, **same | {"mtt__student_steps": 4}), x_NT3HW, turn).item() > 0.05


def test_a_student_that_stays_where_it_is_has_a_loss_of_1() -> None:
    found = loss(matching(random_experts(), mtt__inner_step_size=1e-12), videos())
    assert found.item() == pytest.approx(1, abs=1e-5)


def test_an_expert_that_stayed_where_it_was_gives_a_finite_loss() -> None:
    still = [
        {name: stacked[:1].expand(SNAPSHOTS, *stacked.shape[1:]) for name, stacked in random_experts(1)[0].items()}
    ]
    assert loss(matching(still), videos()).isfinite()


def test_the_target_is_as_many_snapshots_after_a_start_that_is_not_late() -> None:
    nan = float("nan")
    never_seen = random_experts(values=(nan, 0.0, nan, 0.0, nan))
    made = matching(never_seen, mtt__latest_start=1, mtt__expert_snapshots=2)
    finite = [loss(made, videos(), turn).isfinite().item() for turn in range(20)]
    assert {True, False} == set(finite)  # starts are snapshot 0, whose target is 2, or 1, whose target is 3
    beyond = random_experts(values=(0.0, 0.0, 0.0, 0.0, nan))
    made = matching(beyond, mtt__latest_start=1, mtt__expert_snapshots=2)
    assert all(loss(made, videos(), turn).isfinite() for turn in range(20))


def test_experts_and_snapshots_are_drawn_alike() -> None:
    trajectories = Trajectories(random_experts(3))
    assert trajectories.snapshots == SNAPSHOTS
    found = Counter(trajectories.draw(4, seed) for seed in range(2400))
    assert found.keys() == {(expert, snapshot) for expert in range(3) for snapshot in range(4)}
    assert all(150 < count < 250 for count in found.values())
    assert trajectories.draw(4, 7) == trajectories.draw(4, 7)


def test_a_turn_decides_the_stretch_and_a_generator_the_views() -> None:
    made = matching(random_experts(), mtt__batch=2)
    assert torch.equal(loss(made, videos(), turn=5), loss(made, videos(), turn=5))
    assert len({loss(made, videos(), turn).item() for turn in range(5)}) > 1
    assert len({loss(made, videos(), seed=seed).item() for seed in range(5)}) == 5


def test_dropout_has_no_say() -> None:
    experts = random_experts()
    assert torch.equal(loss(matching(experts, dropout=0.9), videos()), loss(matching(experts), videos()))


class Watched(SyntheticViews):
    """Views that remember which pieces were asked for."""

    def __init__(self) -> None:
        super().__init__(Shard(CLASSES), 2, TemporalAugmentation(1), FRAMES, torch.device("cpu"))
        self.asked: list[list[int] | None] = []

    def draw(self, generator: torch.Generator, piece_B: Tensor | None = None) -> Views:
        self.asked.append(None if piece_B is None else piece_B.tolist())
        return super().draw(generator, piece_B)


@pytest.mark.parametrize(("batch", "a_round"), [(64, 1), (6, 1), (3, 2), (4, 1), (1, 6)])
def test_a_step_sees_a_batch_and_no_piece_twice_in_a_round(batch: int, a_round: int) -> None:
    watched = Watched()
    match = matching(random_experts(), mtt__batch=batch, mtt__student_steps=7).look(0)
    match.match(videos(), watched, torch.Generator().manual_seed(0))
    *steps, every = watched.asked
    assert every is None  # of each piece, for the diversity loss
    assert len(steps) == 7
    for first in range(0, 7, a_round):
        together = [piece for step in steps[first : first + a_round] for piece in step or ()]
        assert len(set(together)) == len(together) == min(batch, 6) * len(steps[first : first + a_round])


def test_real_clips_are_read_for_the_diversity_loss_alone() -> None:
    real = real_views()
    made = build(config(), real, network, Trajectories(random_experts()))
    look = made.look(0)
    match = look.match(videos(), synthetic(), torch.Generator().manual_seed(0))
    assert real.shown == 0
    assert look.centre_C1D.shape == (CLASSES, 1, match.embedding_PD.shape[1])
    assert look.centre_C1D is look.centre_C1D
    assert real.shown == CLASSES * config().batch_real
    assert match.embedding_PD.shape[0] == CLASSES * 2


@pytest.mark.parametrize("step_size", [0.0, 0.05])
def test_a_run_brings_students_nearer_and_learns_their_step_size(step_size: float) -> None:
    """The videos start as noise, and the expert was trained on others."""
    given = config(
        ipc=2, steps=30, mtt__latest_start=0, mtt__expert_snapshots=1, mtt__student_steps=4, mtt__step_size=step_size
    )  # fmt: skip
    made = build(given, real_views(), network, Trajectories([taught(videos() * 2, steps=4, step_size=0.02)]))
    learned = PixelVideos(given.pixel.model_copy(update={"step_size": 0.05}), torch.randn(6, 1, 3, 4, 16, 16))
    optimiser = torch.optim.Adam(learned.step_sizes() + made.step_sizes(), betas=(0.5, 0.99))
    losses = [step.matching.item() for step in distil(learned, made, optimiser, given, Shard(CLASSES), FRAMES)]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    [log_step_size] = made.parameters()
    before = torch.tensor(given.mtt.inner_step_size).log()
    assert torch.isclose(log_step_size, before, atol=1e-6) == (step_size == 0)


def test_experts_are_needed() -> None:
    with pytest.raises(ValueError, match="needs trajectories"):
        build(config(), real_views(), network)
