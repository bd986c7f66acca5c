from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from idtd_cli.method.matching.unrolled_sgd import LossOf, unrolled_sgd
from idtd_cli.method.normalisation import for_network
from idtd_cli.students import registry
from tests import tiny

Unrolled = Callable[[LossOf, int, Tensor, Tensor, Sequence[Tensor]], Sequence[Tensor]]


def kept_whole(
    loss_of: LossOf, steps: int, data: Tensor, step_size: Tensor, start: Sequence[Tensor]
) -> Sequence[Tensor]:
    """What autograd does by itself: the graphs of all steps are kept."""
    weights = [weight.clone().requires_grad_() for weight in start]
    for step in range(steps):
        slopes = torch.autograd.grad(loss_of(step, weights, data), weights, create_graph=True)
        weights = [weight - step_size * slope for weight, slope in zip(weights, slopes, strict=True)]
    return weights


class Student:
    """A small ConvNet3D, some clips in the layout that networks see, and where its weights are to go."""

    def __init__(self, dtype: torch.dtype) -> None:
        config = tiny.recipe().distill.network
        network = registry.build(config, registry.Task(3, 4, 16, 16), 0, "cpu").to(dtype).eval()
        self.network, self.names = network, [name for name, _ in network.named_parameters()]
        self.start = [weight.detach() for weight in network.parameters()]
        generator = torch.Generator().manual_seed(0)
        self.videos = torch.randn(6, 4, 3, 16, 16, generator=generator, dtype=dtype).requires_grad_()
        self.step_size = torch.tensor(0.1, dtype=dtype, requires_grad=True)
        self.labels = torch.arange(6) % 3
        self.target = [w + 0.1 * torch.randn(w.shape, generator=generator, dtype=dtype) for w in self.start]

    def loss_of(self, step: int, weights: Sequence[Tensor], videos: Tensor) -> Tensor:
        piece_B = torch.arange(step, step + 4) % 6  # others in each step
        named = dict(zip(self.names, weights, strict=True))
        scores = functional_call(self.network, named, (for_network(videos[piece_B]),))
        return functional.cross_entropy(scores, self.labels[piece_B])

    def outcome(self, unrolled: Unrolled, steps: int) -> Tensor:
        end = unrolled(self.loss_of, steps, self.videos, self.step_size, self.start)
        return torch.stack([(a - b).square().sum() for a, b in zip(end, self.target, strict=True)]).sum()

    def gradients(self, unrolled: Unrolled, steps: int) -> tuple[Tensor, Tensor]:
        of_videos, of_step_size = torch.autograd.grad(self.outcome(unrolled, steps), [self.videos, self.step_size])
        return of_videos, of_step_size


def test_a_step_that_can_be_worked_out_by_hand() -> None:
    """The loss is (w − x)²/2, so a step goes from w to w − β(w − x); two of them end at (1 − β)²w + (1 − (1 − β)²)x."""
    w, x, beta = torch.tensor(5.0), torch.tensor(1.0, requires_grad=True), torch.tensor(0.25, requires_grad=True)
    [end] = unrolled_sgd(lambda _, weights, data: (weights[0] - data).square() / 2, 2, x, beta, [w])
    assert end.item() == 0.75**2 * 5 + (1 - 0.75**2) * 1
    end.backward()
    assert x.grad is not None
    assert x.grad.item() == 1 - 0.75**2
    assert beta.grad is not None
    assert beta.grad.item() == -2 * 0.75 * (5 - 1)


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_gradients_are_those_of_keeping_everything(steps: int, dtype: torch.dtype, tolerance: float) -> None:
    student = Student(dtype)
    assert torch.equal(student.outcome(unrolled_sgd, steps), student.outcome(kept_whole, steps))
    found, expected = (student.gradients(how, steps) for how in (unrolled_sgd, kept_whole))
    for a, b in zip(found, expected, strict=True):
        assert b.norm() > 0
        assert (a - b).norm() < tolerance * b.norm()


class _Saved:
    """A tensor that a graph keeps for its way back."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def most_kept(unrolled: Unrolled, steps: int) -> int:
    """The most bytes that graphs kept at any time, on the way there and back."""
    student = Student(torch.float32)
    kept: weakref.WeakSet[_Saved] = weakref.WeakSet()
    most = 0

    def keep(tensor: Tensor) -> _Saved:
        nonlocal most
        saved = _Saved(tensor.detach())
        kept.add(saved)
        most = max(most, sum(each.tensor.nbytes for each in kept))
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved.tensor):
        student.gradients(unrolled, steps)
    return most


def test_a_step_more_costs_the_memory_of_the_weights_and_no_more() -> None:
    weights = sum(weight.nbytes for weight in Student(torch.float32).start)
    few, many = (most_kept(unrolled_sgd, steps) for steps in (2, 8))
    assert many - few == 6 * weights
    few_whole, many_whole = (most_kept(kept_whole, steps) for steps in (2, 8))
    assert many_whole - few_whole > 6 * 10 * weights
