from __future__ import annotations

from typing import Any

import pytest
import torch

from idtd_cli.recipe import EvaluateConfig
from idtd_cli.students.predictions import Predictions
from idtd_cli.students.scoring import lots


def _protocol(**changes: Any) -> EvaluateConfig:
    return EvaluateConfig.model_validate(changes)


def _said(number: int) -> Predictions:
    return Predictions(torch.tensor([[number]]), torch.tensor([[0]]))


@pytest.mark.parametrize(
    ("changes", "device", "expected"),
    [
        ({}, "cpu", [1, 1, 1, 1, 1, 1, 1]),
        ({}, "cuda:0", [5, 2]),
        ({"together": 3}, "cpu", [3, 3, 1]),
        ({"together": 1}, "cuda", [1, 1, 1, 1, 1, 1, 1]),
        ({"together": 3, "student": {"name": "cnn-gru"}}, "cpu", [1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_how_many_train_at_once(changes: dict[str, Any], device: str, expected: list[int]) -> None:
    found = list(lots(_protocol(**changes), range(7), device, lambda numbers: [*map(_said, numbers)]))
    assert [len(lot) for lot in found] == expected
    assert [number for lot in found for number in lot] == list(range(7))
    assert all(one.found_VN.item() == number for lot in found for number, one in lot.items())


def test_fewer_train_at_once_where_more_do_not_fit() -> None:
    tried: list[int] = []

    def train(numbers: Any) -> list[Predictions]:
        tried.append(len(numbers))
        if len(numbers) > 2:
            raise torch.OutOfMemoryError
        return [*map(_said, numbers)]

    assert [[*lot] for lot in lots(_protocol(together=5), range(5), "cpu", train)] == [[0, 1], [2, 3], [4]]
    assert tried == [5, 2, 2, 1]


def test_one_that_does_not_fit_ends_it() -> None:
    def train(_: Any) -> list[Predictions]:
        raise torch.OutOfMemoryError("no memory")

    with pytest.raises(torch.OutOfMemoryError, match="no memory"):
        list(lots(_protocol(together=2), range(2), "cpu", train))
