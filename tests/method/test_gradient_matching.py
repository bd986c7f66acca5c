from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from idtd_cli.method.matching.gradient_matching import class_gradients, gradient_distance
from idtd_cli.method.network import Network
from idtd_cli.recipe import StudentConfig
from idtd_cli.students import registry


class Linear(Network):
    """The scores are the two colours' first pixels through a matrix and an offset."""

    def __init__(self, weight_C2: Tensor) -> None:
        super().__init__()
        self.embedding_width = 2
        self.weight, self.offset = nn.Parameter(weight_C2), nn.Parameter(torch.zeros(len(weight_C2)))

    def embed(self, x_B3THW: Tensor) -> Tensor:
        return x_B3THW[:, :2, 0, 0, 0]

    def classify(self, embedding_BD: Tensor) -> Tensor:
        return embedding_BD @ self.weight.T + self.offset


def convnet(norm: str = "group") -> Network:
    config = StudentConfig(widths=(4, 8), kernel=(3, 3, 3), strides=(1, 1), norm=norm, dropout=0.5)
    return registry.build(config, registry.Task(3, 4, 16, 16), 0, "cpu").eval().requires_grad_(False)


def clips(views: int, seed: int = 0) -> Tensor:
    return torch.randn(3, views, 3, 4, 16, 16, generator=torch.Generator().manual_seed(seed))


def one_class_at_a_time(network: Network, x_CB3THW: Tensor) -> list[dict[str, Tensor]]:
    """The gradients of each class, by plain autograd."""
    weights = {name: weight for name, weight in network.named_parameters() if weight.ndim > 1}
    found = []
    for label, x_B3THW in enumerate(x_CB3THW):
        for weight in weights.values():
            weight.requires_grad_(True)
        loss = functional.cross_entropy(network(x_B3THW), torch.full((len(x_B3THW),), label))
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        found.append(dict(zip(weights, gradients, strict=True)))
    network.requires_grad_(False)
    return found


def published(one: dict[str, Tensor], two: dict[str, Tensor]) -> Tensor:
    """The distance of one class, as it stands in the paper."""
    total = torch.zeros(())
    for name, a in one.items():
        a_row, b_row = a.reshape(len(a), -1), two[name].reshape(len(a), -1)
        norms = (a_row.norm(dim=1) * b_row.norm(dim=1)).clamp(min=1e-20)
        total = total + (1 - (a_row * b_row).sum(1) / norms).sum()
    return total


def test_a_gradient_that_can_be_worked_out() -> None:
    """With equal scores, each clip's is (softmax − one-hot) ⊗ clip: (½ − 1) ⊗ and ½ ⊗ the mean of the class's clips."""
    x = torch.zeros(2, 2, 3, 1, 1, 1)
    x[0, :, :2, 0, 0, 0] = torch.tensor([[1.0, 0.0], [3.0, 2.0]])
    x[1, :, :2, 0, 0, 0] = torch.tensor([[0.0, 4.0], [0.0, 0.0]])
    gradients, embedding = class_gradients(Linear(torch.zeros(2, 2)).eval(), x)
    assert list(gradients) == ["network.weight"]  # the offset is left out
    expected = torch.tensor([[[-1.0, -0.5], [1.0, 0.5]], [[0.0, 1.0], [0.0, -1.0]]])
    torch.testing.assert_close(gradients["network.weight"], expected)
    assert torch.equal(embedding, x[:, :, :2, 0, 0, 0])


def test_a_distance_that_can_be_worked_out() -> None:
    one = {"a": torch.tensor([[[1.0, 0.0], [1.0, 1.0]]]), "b": torch.tensor([[[[2.0]]]])}
    two = {"a": torch.tensor([[[0.0, 5.0], [7.0, 7.0]]]), "b": torch.tensor([[[[-9.0]]]])}
    assert gradient_distance(one, two).item() == pytest.approx(1 + 0 + 2)
    assert gradient_distance(one, one).item() == pytest.approx(0, abs=1e-6)
    assert gradient_distance(one, {name: torch.zeros_like(g) for name, g in one.items()}).item() == 3


@pytest.mark.parametrize("norm", ["none", "group"])
def test_all_classes_at_once_are_as_one_after_the_other(norm: str) -> None:
    network = convnet(norm)
    real, shown = clips(4), clips(2, seed=1).requires_grad_(True)
    real_gradients, embedding = class_gradients(network, real)
    shown_gradients, _ = class_gradients(network, shown)
    loss = gradient_distance(real_gradients, shown_gradients)
    [towards] = torch.autograd.grad(loss, shown)

    again = clips(2, seed=1).requires_grad_(True)
    pairs = list(zip(one_class_at_a_time(network, real), one_class_at_a_time(network, again), strict=True))
    for label, (expected, _) in enumerate(pairs):
        for name, gradient in expected.items():
            torch.testing.assert_close(real_gradients[f"network.{name}"][label], gradient, atol=1e-5, rtol=1e-4)
    expected_loss = torch.stack([published(one, two) for one, two in pairs]).sum()
    torch.testing.assert_close(loss, expected_loss, atol=1e-4, rtol=1e-4)
    [expected_towards] = torch.autograd.grad(expected_loss, again)
    torch.testing.assert_close(towards, expected_towards, atol=1e-4 * expected_towards.abs().max().item(), rtol=1e-4)
    torch.testing.assert_close(embedding.flatten(0, 1), network.embed(real.flatten(0, 1)))


def test_the_real_side_keeps_no_graph() -> None:
    with torch.no_grad():
        gradients, embedding = class_gradients(convnet(), clips(2).requires_grad_(True))
    assert not embedding.requires_grad
    assert not any(gradient.requires_grad for gradient in gradients.values())
    assert all(gradient.abs().sum() > 0 for gradient in gradients.values())


def test_a_row_without_gradient_has_one_to_the_clips() -> None:
    """A channel that is never active gives zero rows: their cosine is no number, and must not become one's gradient."""
    network = convnet("none")
    with torch.no_grad():
        next(network.parameters())[0] = 0
        network.blocks[0].bias[0] = -1  # type: ignore[union-attr,index,operator]
    shown = clips(2, seed=1).requires_grad_(True)
    loss = gradient_distance(class_gradients(network, clips(2))[0], class_gradients(network, shown)[0])
    [towards] = torch.autograd.grad(loss, shown)
    assert torch.isfinite(loss)
    assert torch.isfinite(towards).all()
    assert towards.abs().max() > 0
