from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from idtd_cli.engines import guarded, local
from idtd_cli.engines.engine import Rejected
from idtd_cli.errors import IdtdError
from tests.engines.jobs import job


def run(items: list[object], n: int = 2, seconds: float = 30) -> list[object]:
    return list(local.run(job, items, workers=n, seconds=seconds, memory_mb=512))


def test_results_come_in_order() -> None:
    assert run(list(range(50))) == list(range(50))


def test_nothing_to_do() -> None:
    assert run([]) == []


@pytest.mark.parametrize("n", [1, 2])
def test_a_bad_file_costs_itself_alone(n: int) -> None:
    items = [0, "segfault", 1, "damaged", 2, "allocate", 3, "exit", 4, "bug", 5, "segfault", "segfault", 6]
    results = run(list(items), n)
    reasons = [result.reason if isinstance(result, Rejected) else result for result in results]
    assert reasons == [
        0,
        "crashed the decoder (signal 11)",
        1,
        "is damaged: so it is",
        2,
        "needs more than 512 MiB of memory",
        3,
        "crashed the decoder (exit code 3)",
        4,
        "is damaged: KeyError: 'no such\\nkey'",
        5,
        "crashed the decoder (signal 11)",
        "crashed the decoder (signal 11)",
        6,
    ]


@pytest.mark.parametrize("hang", ["hang", "deaf"])
def test_a_hang_is_ended(hang: str) -> None:
    start = time.monotonic()
    assert run([0, hang, 1, 2], seconds=1) == [0, Rejected("took longer than 1 s"), 1, 2]
    assert time.monotonic() - start < 15


class Counted(list[object]):
    """A list that knows how many of its items were taken."""

    taken = 0

    def __iter__(self) -> Iterator[object]:
        for item in super().__iter__():
            self.taken += 1
            yield item


def test_few_items_are_in_flight() -> None:
    items = Counted(range(100))
    results = local.run(job, items, workers=2, seconds=30, memory_mb=512)
    for _ in range(10):
        next(results)
    results.close()
    assert 10 <= items.taken <= 10 + 4 * 2


def test_a_pool_serves_one_run_after_the_other() -> None:
    with closing(guarded.Pool(1, 30, 512)) as pool:
        first = list(pool.run(job, ["pid", "pid"]))
        assert list(pool.run(job, ["pid", "segfault"])) == [first[0], Rejected("crashed the decoder (signal 11)")]
        assert list(pool.run(job, ["pid"])) != first[:1]


def die(*_: object) -> None:
    os._exit(1)


def test_workers_that_cannot_start_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "_begin", die)
    with pytest.raises(IdtdError, match="cannot be started"):
        list(local.run(job, [1, 2], workers=2, seconds=30, memory_mb=512))
