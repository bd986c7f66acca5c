"""The registry of students: a name in a recipe → a network with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from idtd_cli.method.network import Network
from idtd_cli.recipe import StudentConfig
from idtd_cli.students.convnet3d import ConvNet3D


@dataclass(frozen=True)
class Task:
    """What a student is built for: C classes of clips of T frames of H×W pixels."""

    classes: int
    frames: int
    height: int
    width: int


def _convnet3d(config: StudentConfig, task: Task) -> Network:
    return ConvNet3D(
        task.classes,
        task.frames,
        task.height,
        task.width,
        widths=config.widths,
        kernel=config.kernel,
        strides=config.strides,
        norm=config.norm,
        dropout=config.dropout,
    )


#: A student joins by an entry here and its name in `recipe.StudentConfig`.
STUDENTS: dict[str, Callable[[StudentConfig, Task], Network]] = {"convnet3d": _convnet3d}


def build(config: StudentConfig, task: Task, seed: int, device: str) -> Network:
    """A student with the random weights that a seed gives, the same on every device.

    Raises:
        InputError: the student cannot take such clips.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = STUDENTS[config.name](config, task)
    return network.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]
