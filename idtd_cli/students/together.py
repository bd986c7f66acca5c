"""Students of one architecture as one network that has the channels of all of them, so that a GPU trains them at once.

A convolution of several students is one with groups, and a norm of theirs is one over more channels. No student's
channel meets another's: the gradients of the sum of their losses are those of each.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from idtd_cli.method.network import Network
from idtd_cli.students.dropout import Dropout

#: Layers that do the same to each channel, however many there are.
_CHANNEL_BY_CHANNEL = (nn.ReLU, nn.MaxPool3d, nn.AvgPool3d, nn.AdaptiveAvgPool3d, nn.BatchNorm3d, Dropout, nn.Identity)


class Together(nn.Module):
    """S students, side by side in the channels of one network; each entry of its state is theirs, one after another.

    Args:
        students: of an architecture in `registry.TOGETHER`; they are copied, and learn nothing until `give_back`.

    Raises:
        TypeError: a layer has no such form.
    """

    def __init__(self, students: Sequence[Network]) -> None:
        super().__init__()
        self._students = len(students)
        self._network = copy.deepcopy(students[0])
        for name, layer in list(self._network.named_modules()):
            if not list(layer.children()):
                self._network.set_submodule(name, _wide(layer, self._students))
        states = [student.state_dict() for student in students]
        for name, weight in states[0].items():
            if weight.dim():  # batch norm's count of batches is the same for all
                path, _, own = name.rpartition(".")
                joined = torch.cat([state[name] for state in states])
                layer = self._network.get_submodule(path)
                setattr(layer, own, nn.Parameter(joined) if isinstance(getattr(layer, own), nn.Parameter) else joined)

    def forward(self, x_B3THW: Tensor) -> Tensor:
        """Class scores (S·B, C) of clips (S·B, 3, T, H, W): those of the first student, then those of the second, …"""
        x_SBTHW3 = x_B3THW.movedim(1, -1).unflatten(0, (self._students, -1))
        x_BTHWK = x_SBTHW3.movedim(0, -2).flatten(-2)  # a copy, after which the channels are last in memory
        scores_BSC: Tensor = self._network(x_BTHWK.movedim(-1, 1)).unflatten(1, (self._students, -1))
        return scores_BSC.transpose(0, 1).flatten(0, 1)

    def give_back(self, students: Sequence[Network]) -> None:
        """Write what was learnt into the students."""
        parts = {
            name: weight.chunk(self._students) if weight.dim() else (weight,) * self._students
            for name, weight in self._network.state_dict().items()
        }
        for number, student in enumerate(students):
            student.load_state_dict({name: part[number] for name, part in parts.items()})


class _Linears(nn.Module):
    """Linear layers as a convolution with groups, (B, S·K) → (B, S·C); the weights are set from outside."""

    def __init__(self, layer: nn.Linear, students: int) -> None:
        super().__init__()
        self.weight, self.bias, self._students = layer.weight, layer.bias, students

    def forward(self, x_BK: Tensor) -> Tensor:
        return functional.conv1d(x_BK[..., None], self.weight[..., None], self.bias, groups=self._students)[..., 0]


def _wide(layer: nn.Module, students: int) -> nn.Module:
    """A layer that takes the channels of all students, once it has their weights."""
    if isinstance(layer, nn.Linear):
        return _Linears(layer, students)
    if isinstance(layer, nn.Conv3d):
        layer.groups *= students
    elif isinstance(layer, nn.GroupNorm):
        layer.num_groups *= students
    elif not isinstance(layer, _CHANNEL_BY_CHANNEL):
        raise TypeError(f"several {type(layer).__name__} cannot be one layer")
    return layer
