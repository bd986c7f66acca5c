"""The registry of students: a name in a recipe → a network with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import nn

from idtd_cli.method.network import Network
from idtd_cli.recipe import StudentConfig
from idtd_cli.students.convnet3d import ConvNet3D
from idtd_cli.students.recurrent import FrameRecurrent
from idtd_cli.students.resnet3d import ResNet3D
from idtd_cli.students.transformer import VideoTransformer


@dataclass(frozen=True)
class Task:
    """What a student is built for: C classes of clips of so many frames, as networks see them, of H×W pixels."""

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


def _frame_recurrent(cell: Literal["gru", "lstm"], config: StudentConfig, task: Task) -> Network:
    return FrameRecurrent(
        cell,
        task.classes,
        task.height,
        task.width,
        widths=config.widths,
        kernel=config.kernel[1:],
        strides=config.strides,
        norm=config.norm,
        dropout=config.dropout,
    )


#: A student joins by an entry here and its name in `recipe.StudentConfig`.
STUDENTS: dict[str, Callable[[StudentConfig, Task], Network]] = {
    "convnet3d": _convnet3d,
    "cnn-gru": partial(_frame_recurrent, "gru"),
    "cnn-lstm": partial(_frame_recurrent, "lstm"),
    "r3d-18": lambda config, task: ResNet3D("3d", task.classes, config.dropout),
    "r2plus1d-18": lambda config, task: ResNet3D("2+1d", task.classes, config.dropout),
    "transformer": lambda config, task: VideoTransformer(
        task.classes, task.frames, task.height, task.width, config.dropout
    ),
}


#: Those of which several can be one network (`together`); the others train one after another: recurrent layers and
#: attention have no such form.
TOGETHER = frozenset({"convnet3d", "r3d-18", "r2plus1d-18"})


def build(config: StudentConfig, task: Task, seed: int, device: str) -> Network:
    """A student with the random weights that a seed gives, the same on every device.

    Raises:
        InputError: the student cannot take such clips.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = STUDENTS[config.name](config, task)
    for module in network.modules():
        if isinstance(module, nn.Conv3d):  # other layers have no such layout
            module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network.to(device)
