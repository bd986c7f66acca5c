from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation, PeerNormalisation, for_network
from idtd_cli.method.soft_labels import SoftLabels
from idtd_cli.method.temporal_augmentation import TemporalAugmentation, Views
from idtd_cli.recipe import StudentConfig, StudentFitConfig
from idtd_cli.students import registry, resnet3d, training
from idtd_cli.students.together import Together
from idtd_cli.students.training import LabelledVideos, fit, fit_together

TASK = registry.Task(5, 4, 16, 16)
SEEDS = (3, 0, 7)
DATA = Normalisation((0.2, 0.3, 0.4), (0.3, 0.3, 0.3), "cpu")
#: Everything that draws: windows, speeds, flips, dropout, more passes than one.
AUGMENTATION = TemporalAugmentation(segments=2, window=0.5, speed=1.5)
FIT = StudentFitConfig(epochs=2, batch=8, step_size=0.02, flip=True)


def noise(seed: int) -> LabelledVideos:
    generator = torch.Generator().manual_seed(seed)
    videos = torch.randint(0, 256, (10, 8, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return LabelledVideos(videos, torch.arange(10) % 5)


def student(seed: int, name: str = "convnet3d", **changes: Any) -> Network:
    settings = {"widths": (4, 8), "kernel": (3, 3, 3), "strides": (1, 1), "norm": "group", "dropout": 0.5}
    return registry.build(StudentConfig.model_validate(settings | {"name": name} | changes), TASK, seed, "cpu")


def scores(network: Network) -> Tensor:
    """Of some clips, in eval mode."""
    x_B3THW = torch.randn(6, 3, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return network.eval()(x_B3THW.to(next(network.parameters()).dtype))


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """Networks see clips in double precision, so that rounding does not hide a mistake."""
    monkeypatch.setattr(training, "for_network", lambda clips: for_network(clips).double())
    return torch.double


def both_ways(
    trains: list[LabelledVideos],
    normalisation: Normalisation = DATA,
    config: StudentFitConfig = FIT,
    dtype: torch.dtype = torch.float,
    **network: Any,
) -> tuple[list[Network], list[Network]]:
    """Students that were trained alone, and the same at once."""
    alone, at_once = ([student(seed, **network).to(dtype) for seed in SEEDS] for _ in range(2))
    for one, train, seed in zip(alone, trains, SEEDS, strict=True):
        fit(one, train, normalisation, config, AUGMENTATION, 4, seed)
    fit_together(at_once, trains, normalisation, config, AUGMENTATION, 4, SEEDS)
    return alone, at_once


def assert_alike(alone: list[Network], at_once: list[Network]) -> None:
    for one, other in zip(alone, at_once, strict=True):
        torch.testing.assert_close(scores(one), scores(other), atol=1e-5, rtol=1e-5)
        assert one.state_dict().keys() == other.state_dict().keys()
        close = 1e-9 if scores(one).dtype == torch.double else 1e-5
        for key, weight in one.state_dict().items():
            torch.testing.assert_close(weight, other.state_dict()[key], atol=close, rtol=close)


@pytest.mark.parametrize(
    "network",
    [
        {"norm": "group"},
        {"norm": "none", "widths": (4, 6, 8), "strides": (2, 1, 1), "dropout": 0.0},
        {"name": "r3d-18"},
        {"name": "r2plus1d-18"},
    ],
    ids=lambda network: "-".join(str(value) for value in network.values()),
)
def test_students_that_train_at_once_come_out_as_alone(
    network: dict[str, Any], double: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for rounding; also what batch norm counted."""
    monkeypatch.setattr(resnet3d, "_WIDTHS", (4, 6, 8, 8))
    assert network.get("name", "convnet3d") in registry.TOGETHER
    config = FIT.model_copy(update={"epochs": 1}) if "name" in network else FIT  # the others take their time
    alone, at_once = both_ways([noise(0)] * 3, config=config, dtype=double, **network)
    assert_alike(alone, at_once)
    first, second, _ = map(scores, at_once)
    assert (first - second).abs().max() > 1e-2


def test_in_single_precision_they_come_out_alike() -> None:
    assert_alike(*both_ways([noise(0)] * 3))


def test_each_may_have_videos_of_its_own(double: torch.dtype) -> None:
    assert_alike(*both_ways([noise(seed) for seed in SEEDS], dtype=double))


def test_each_may_learn_from_soft_labels_and_see_the_peers_batches(double: torch.dtype) -> None:
    """Which are standardised student by student."""
    logits_NKC = torch.randn(10, 2, 5, generator=torch.Generator().manual_seed(2))
    soft = replace(noise(0), soft=SoftLabels(logits_NKC, 2.0))
    dark = replace(noise(1), videos_NF3HW=noise(1).videos_NF3HW // 4)
    assert_alike(*both_ways([soft] * 3, dtype=double))
    assert_alike(*both_ways([noise(0), dark, noise(2)], PeerNormalisation("cpu"), dtype=double))


def test_each_draws_what_it_draws_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: the order, the views and the flips, and so the clips that it sees."""
    seen: list[Views] = []
    shown: list[Tensor] = []
    read = training.read

    def reading(videos: Any, views: Views, frames: int) -> Tensor:
        seen.append(views)
        return read(videos, views, frames)

    def showing(clips: Tensor) -> Tensor:
        shown.append(clips)
        return for_network(clips)

    monkeypatch.setattr(training, "read", reading)
    monkeypatch.setattr(training, "for_network", showing)
    both_ways([noise(0)] * 3)
    updates = FIT.updates(20)
    alone = [slice(number * updates, (number + 1) * updates) for number in range(3)]
    at_once = slice(3 * updates, None)
    assert len(seen) == 4 * updates
    for step, views in enumerate(seen[at_once]):
        singles = [seen[own][step] for own in alone]
        for name in ("index_B", "start_B", "end_B"):
            assert torch.equal(getattr(views, name), torch.cat([getattr(single, name) for single in singles]))
        assert torch.equal(shown[at_once][step], torch.cat([shown[own][step] for own in alone]))
    assert len({views.index_B.numpy().tobytes() for views in seen[:updates]}) == updates


def test_the_loss_that_is_watched_is_the_mean() -> None:
    def watched(seeds: tuple[int, ...]) -> list[float]:
        losses: list[float] = []
        some = [student(seed) for seed in seeds]
        watch = lambda _, loss: losses.append(loss.item())  # noqa: E731
        fit_together(some, [noise(0)] * len(some), DATA, FIT, AUGMENTATION, 4, seeds, watch)
        return losses

    singles = zip(*(watched((seed,)) for seed in SEEDS), strict=True)
    assert watched(SEEDS) == pytest.approx([sum(losses) / 3 for losses in singles], rel=1e-5)


def test_students_at_once_leave_the_global_random_state_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit_together([student(0), student(1)], [noise(0)] * 2, DATA, FIT, AUGMENTATION, 4, (0, 1))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", sorted(registry.STUDENTS.keys() - registry.TOGETHER))
def test_other_networks_cannot_be_one(name: str) -> None:
    with pytest.raises(TypeError, match="cannot be one layer"):
        Together([student(0, name), student(1, name)])


def test_weights_stay_in_the_layout_that_is_fast() -> None:
    joined = Together([student(0), student(1)])
    weights = [weight for weight in joined.parameters() if weight.dim() == 5]
    assert len(weights) == 3
    assert all(weight.is_contiguous(memory_format=torch.channels_last_3d) for weight in weights)
