from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from idtd_cli.recipe import StudentConfig
from idtd_cli.students.scoring import lots


@pytest.mark.parametrize(
    ("name", "most", "expected"),
    [
        ("convnet3d", 1, [1, 1, 1, 1, 1, 1, 1]),
        ("convnet3d", 3, [3, 3, 1]),
        ("r3d-18", 5, [5, 2]),
        ("convnet3d", 9, [7]),
        ("cnn-gru", 3, [1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_how_many_train_at_once(name: str, most: int, expected: list[int]) -> None:
    tried: list[int] = []

    def train(numbers: Sequence[int]) -> list[str]:
        tried.append(len(numbers))
        return [*map(str, numbers)]

    assert [*lots(StudentConfig.model_validate({"name": name}), range(7), most, train)] == [*map(str, range(7))]
    assert tried == expected


def test_fewer_train_at_once_where_more_do_not_fit() -> None:
    tried: list[int] = []

    def train(numbers: Sequence[int]) -> Sequence[int]:
        tried.append(len(numbers))
        if len(numbers) > 2:
            raise torch.OutOfMemoryError
        return numbers

    assert [*lots(StudentConfig(), range(5), 5, train)] == [*range(5)]
    assert tried == [5, 2, 2, 1]


def test_one_that_does_not_fit_ends_it() -> None:
    def train(_: Sequence[int]) -> list[int]:
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError, match="no memory"):
        list(lots(StudentConfig(), range(2), 2, train))
