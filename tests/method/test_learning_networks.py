from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from idtd_cli.method import seeds
from idtd_cli.method.matching.learning_networks import LearningNetworks
from idtd_cli.method.network import Network
from idtd_cli.method.shard import Shard
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.method.views import SyntheticViews
from idtd_cli.recipe import LearningNetworksConfig

CLASSES, FRAMES = 2, 2
VIEWS = SyntheticViews(Shard(CLASSES), 1, TemporalAugmentation(1), FRAMES, torch.device("cpu"))
VIDEOS = torch.randn(CLASSES, FRAMES, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Linear(Network):
    """Scores by a matrix; it remembers its seed as long as it is fresh."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.embedding_width = 3 * FRAMES * 16
        self.weight = nn.Parameter(
            torch.randn(CLASSES, self.embedding_width, generator=torch.Generator().manual_seed(seed))
        )

    def embed(self, x_B3THW: Tensor) -> Tensor:
        return x_B3THW.flatten(1)

    def classify(self, embedding_BD: Tensor) -> Tensor:
        return embedding_BD @ self.weight.T


class Drawn:
    """Networks, and the seeds that were asked for."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def __call__(self, seed: int) -> Network:
        self.seeds.append(seed)
        return Linear(seed)


def learning(drawn: Drawn, **config: object) -> LearningNetworks:
    return LearningNetworks(LearningNetworksConfig.model_validate(config), 0, drawn)


def learn(networks: LearningNetworks, turn: int) -> None:
    networks.learn(turn, VIDEOS, VIEWS, torch.Generator().manual_seed(turn))


def test_networks_take_turns() -> None:
    networks = learning(Drawn(), networks=3)
    assert [networks.of_turn(turn) for turn in range(6)] == 2 * list(networks.networks)
    assert not any(network.training for network in networks.networks)
    assert not any(weight.requires_grad for weight in networks.parameters())


def test_by_default_each_turn_has_a_fresh_network() -> None:
    """The one that distribution matching has in the same turn."""
    networks = learning(Drawn())
    for turn in range(4):
        expected = Linear(seeds.of_turn(0, turn)).weight
        assert torch.equal(networks.of_turn(turn).get_parameter("weight"), expected)
        learn(networks, turn)


@pytest.mark.parametrize("updates", [0, 1, 3])
def test_a_network_learns_by_plain_steps(updates: int) -> None:
    networks = learning(Drawn(), turns=5, updates=updates, step_size=0.1)
    expected = networks.of_turn(0).get_parameter("weight").clone().requires_grad_(True)
    x_P3THW, label_P = VIDEOS.transpose(1, 2), torch.arange(CLASSES)
    for _ in range(updates):
        loss = functional.cross_entropy(x_P3THW.flatten(1) @ expected.T, label_P)
        [gradient] = torch.autograd.grad(loss, expected)
        expected = (expected - 0.1 * gradient).detach().requires_grad_(True)
    learn(networks, 0)
    weight = networks.of_turn(1).get_parameter("weight")
    torch.testing.assert_close(weight, expected.detach(), rtol=1e-5, atol=1e-6)
    assert not weight.requires_grad


@pytest.mark.parametrize(
    ("networks", "turns", "replaced"),
    [
        (1, 3, [2, 5, 8, 11]),
        # Network 0 after its 2nd and 6th turn, network 1 after its 4th.
        (2, 4, [2, 7, 10]),
        # Network 0 after its 1st turn, networks 1 and 2 after their 2nd; each again after two more.
        (3, 2, [0, 4, 5, 6, 10, 11]),
    ],
)
def test_a_network_gives_way_to_a_fresh_one(networks: int, turns: int, replaced: list[int]) -> None:
    drawn = Drawn()
    pool = learning(drawn, networks=networks, turns=turns)
    assert len(drawn.seeds) == networks
    found = []
    for turn in range(12):
        before = len(drawn.seeds)
        learn(pool, turn)
        if len(drawn.seeds) > before:
            found.append(turn)
            assert torch.equal(pool.of_turn(turn).get_parameter("weight"), Linear(drawn.seeds[-1]).weight)
    assert found == replaced
    assert len(set(drawn.seeds)) == len(drawn.seeds)


def test_a_turn_leaves_the_other_networks_alone() -> None:
    networks = learning(Drawn(), networks=2, turns=9)
    before = [network.get_parameter("weight").clone() for network in networks.networks]
    learn(networks, 2)
    after = [network.get_parameter("weight") for network in networks.networks]
    assert [torch.equal(one, two) for one, two in zip(before, after, strict=True)] == [False, True]


def test_the_weights_are_all_that_there_is_to_keep() -> None:
    through, stopped, again = (learning(Drawn(), networks=2, turns=3) for _ in range(3))
    for turn in range(9):
        learn(through, turn)
    for turn in range(4):
        learn(stopped, turn)
    again.load_state_dict(stopped.state_dict())
    for turn in range(4, 9):
        learn(again, turn)
    expected, found = through.state_dict(), again.state_dict()
    assert list(found) == ["networks.0.weight", "networks.1.weight"]
    assert all(torch.equal(found[name], expected[name]) for name in expected)
