"""SGD whose outcome is differentiable, in the memory of one step.

Backpropagation through S steps (Maclaurin et al., "Gradient-based hyperparameter optimization through reversible
learning", ICML 2015) usually keeps the graphs of all of them. Here only the weights before each step are kept; on the
way back each step is computed again. The gradients are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

#: (number of the step, weights, data) → the loss whose gradient the step goes down
LossOf = Callable[[int, Sequence[Tensor], Tensor], Tensor]


def unrolled_sgd(
    loss_of: LossOf, steps: int, data: Tensor, step_size: Tensor, start: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """The weights after some steps of plain SGD, θ ← θ − β ∇θ loss, differentiable once in the data and in β.

    Time is that of two passes over the steps and their second derivatives; memory is that of one step, and the weights
    before each.

    Args:
        loss_of: the loss of a step, twice differentiable; the same for the same arguments.
        steps: S.
        data: what the losses depend on beside the weights.
        step_size: β, a scalar.
        start: the weights before the first step.
    """
    return tuple(_UnrolledSgd.apply(loss_of, steps, data, step_size, *start))  # type: ignore[no-untyped-call]


class _UnrolledSgd(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, loss_of: LossOf, steps: int, data: Tensor, step_size: Tensor, *start: Tensor
    ) -> tuple[Tensor, ...]:
        weights, before = start, list(start)
        for step in range(steps):
            with torch.enable_grad():
                leaves = [weight.detach().requires_grad_() for weight in weights]
                slopes = torch.autograd.grad(loss_of(step, leaves, data.detach()), leaves)
            weights = tuple(weight - step_size * slope for weight, slope in zip(weights, slopes, strict=True))
            before += weights
        ctx.loss_of, ctx.steps = loss_of, steps
        ctx.save_for_backward(data, step_size, *before[: steps * len(start)])
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *adjoint: Tensor) -> tuple[Tensor | None, ...]:
        """Carry λ, the gradient of the weights, from the last step to the first.

        With g the gradient of a step's loss, λ before the step is λ − β·∂(g·λ)/∂θ, and the step adds −β·∂(g·λ)/∂data
        to the gradient of the data and −g·λ to that of β.
        """
        data, step_size, *before = ctx.saved_tensors
        of_data, of_step_size, size = torch.zeros_like(data), torch.zeros_like(step_size), len(adjoint)
        for step in reversed(range(ctx.steps)):
            with torch.enable_grad():
                leaves = [weight.detach().requires_grad_() for weight in before[step * size : (step + 1) * size]]
                data = data.detach().requires_grad_()
                slopes = torch.autograd.grad(ctx.loss_of(step, leaves, data), leaves, create_graph=True)
                along = torch.stack([(a * b).sum() for a, b in zip(slopes, adjoint, strict=True)]).sum()
            *bends, change = torch.autograd.grad(along, [*leaves, data], materialize_grads=True)
            of_step_size -= along.detach()
            of_data -= step_size * change
            adjoint = tuple(each - step_size * bend for each, bend in zip(adjoint, bends, strict=True))
            del slopes, along  # the graph, before the next one is made
        return None, None, of_data, of_step_size, *adjoint
