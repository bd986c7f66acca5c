from __future__ import annotations

from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest

from idtd_cli.engines import computing, local
from idtd_cli.errors import IdtdError, InputError
from tests.engines.jobs import job


def compute(items: list[object], n: int = 2, gpus: int = 0) -> list[object]:
    """The results, in the order of the items."""
    found = dict(local.compute(job, items, workers=n, threads=1, gpus=gpus))
    return [found[number] for number in range(len(items))]


def test_results_come_with_their_numbers() -> None:
    assert compute(list(range(20))) == list(range(20))
    assert compute([]) == []


def test_none_waits_for_a_slower_one(tmp_path: Path) -> None:
    slow = ("wait for", str(tmp_path / "mark"))
    with closing(local.compute(job, [slow, 1, 2, 3, 4, 5, 6], workers=2, threads=1, gpus=0)) as results:
        assert [next(results) for _ in range(6)] == [(number, number) for number in range(1, 7)]
        (tmp_path / "mark").touch()
        assert list(results) == [(0, slow)]


def test_what_ended_together_is_known_before_what_failed() -> None:
    failed, first, second = Future[int](), Future[int](), Future[int]()
    failed.set_exception(ValueError())
    first.set_result(1)
    second.set_result(2)
    assert computing._ended({failed: 0, second: 2, first: 1, Future(): 3}) == [first, second, failed]


def test_what_a_job_raises_is_raised_here() -> None:
    with pytest.raises(InputError, match=r"It does not fit\. Make it fit\."):
        compute([0, "refuse", 1])
    with pytest.raises(KeyError, match="no such"):
        compute([0, "bug", 1])


def test_an_item_whose_process_is_lost_is_done_again(tmp_path: Path) -> None:
    first, second = ("lose once", str(tmp_path / "first")), ("lose once", str(tmp_path / "second"))
    assert compute([0, first, 1, 2, second, 3]) == [0, first, 1, 2, second, 3]


def test_an_item_whose_process_is_lost_again_and_again_ends_the_run() -> None:
    with pytest.raises(IdtdError, match=r"lost 4 times \(signal 11\)"):
        compute([0, "segfault", 1])


def test_each_process_sees_one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = ("lose once", str(tmp_path / "lost"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    assert compute(["gpu", lost, "gpu"], 1, gpus=2) == ["3", lost, "5"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert compute(["gpu"], 1, gpus=2) == ["0"]
