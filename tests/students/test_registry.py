from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch.nn import functional

from idtd_cli.errors import InputError
from idtd_cli.recipe import StudentConfig
from idtd_cli.students.registry import STUDENTS, Task, build

#: For small frames, where it is of the kind that has these settings.
SMALL = {"widths": (4, 8), "kernel": (3, 3, 3), "strides": (1, 1), "norm": "group", "dropout": 0.0}
every_student = pytest.mark.parametrize("name", STUDENTS)


def small(name: str, **changes: object) -> StudentConfig:
    return StudentConfig.model_validate(SMALL | {"name": name} | changes)


def test_every_student_can_be_named_in_a_recipe() -> None:
    assert list(STUDENTS) == list(get_args(StudentConfig.model_fields["name"].annotation))


@every_student
@pytest.mark.parametrize("task", [Task(5, 4, 16, 16), Task(3, 7, 24, 33), Task(2, 2, 16, 16)])
def test_a_student_embeds_and_classifies_clips_of_any_shape(name: str, task: Task) -> None:
    student = build(small(name), task, 0, "cpu").eval()
    x_B3THW = torch.randn(2, 3, task.frames, task.height, task.width)
    embedding_BD = student.embed(x_B3THW)
    assert embedding_BD.shape == (2, student.embedding_width)
    assert student(x_B3THW).shape == (2, task.classes)
    torch.testing.assert_close(student.classify(embedding_BD), student(x_B3THW))


@every_student
def test_the_seed_decides_the_weights(name: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        return torch.cat([w.flatten() for w in build(small(name), Task(3, 4, 16, 16), seed, "cpu").parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@every_student
def test_the_order_of_frames_matters(name: str) -> None:
    student = build(small(name), Task(4, 8, 16, 16), 0, "cpu").eval()
    x_B3THW = torch.randn(3, 3, 8, 16, 16)
    assert not torch.allclose(student(x_B3THW), student(x_B3THW.flip(2)), atol=1e-4)


@every_student
def test_every_weight_learns(name: str) -> None:
    student = build(small(name), Task(3, 4, 32, 32), 0, "cpu").train()
    x_B3THW, label_B = torch.randn(6, 3, 4, 32, 32), torch.arange(6) % 3
    before = functional.cross_entropy(student(x_B3THW), label_B)
    before.backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in student.parameters())
    optimiser = torch.optim.SGD(student.parameters(), lr=0.02, momentum=0.9)
    for _ in range(15):
        optimiser.zero_grad()
        loss = functional.cross_entropy(student(x_B3THW), label_B)
        loss.backward()
        optimiser.step()
    assert loss < before


@every_student
def test_dropout_is_for_training_alone(name: str) -> None:
    student = build(small(name, dropout=0.5), Task(4, 4, 16, 16), 0, "cpu").eval()
    embedding_BD = torch.randn(2, student.embedding_width)
    assert torch.equal(student.classify(embedding_BD), student.classify(embedding_BD))
    student.train()
    assert not torch.equal(student.classify(embedding_BD), student.classify(embedding_BD))


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("cnn-gru", Task(2, 4, 2, 16), "too small for block 2 of cnn-gru"),
        ("cnn-lstm", Task(2, 4, 16, 1), "too small for block 1 of cnn-lstm"),
        ("transformer", Task(2, 4, 7, 16), "hold no patch of 8x8 pixels"),
        ("transformer", Task(2, 4, 15, 80), "hold no patch of 16x16 pixels"),
    ],
)
def test_frames_that_are_too_small_are_refused(name: str, task: Task, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(small(name), task, 0, "cpu")
