"""A clock that goes backwards, or jumps: no byte, no time limit and no decision depends on it."""

from __future__ import annotations

import os
import time
from itertools import count
from pathlib import Path

import pytest

from idtd_cli.engines import local
from idtd_cli.engines.engine import Rejected
from idtd_cli.runlog import Quiet
from idtd_cli.stages import prepare
from tests import tiny
from tests.engines.jobs import nap
from tests.tiny import Impatient, contents


@pytest.fixture
def backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is an hour before the one before."""
    now, looks = time.time(), count(1)
    monkeypatch.setattr(time, "time", lambda: now - 3600 * next(looks))


def everything(videos: Path, out: Path) -> dict[str, str]:
    """All stages, one of them stopped on its way, on files that are dated as they may be."""
    prepare.run(videos, out / "prepared", tiny.recipe(), Quiet())
    with pytest.raises(KeyboardInterrupt):
        tiny.distil(out / "prepared", out / "run", progress=Impatient(3))
    for number, path in enumerate(sorted(out.rglob("*"))):
        os.utime(path, (4e9 - 1e5 * number, 4e9 - 1e5 * number))
    tiny.distil(out / "prepared", out / "run", resume=True)
    tiny.export(out / "run", out / "set")
    tiny.evaluate([out / "set"], out / "prepared", out / "report")
    made = contents(out)
    return {name: made[name] for name in made if name not in ("report/report.json", "report/scores.jsonl")}


def test_the_bytes_are_the_same(videos: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    straight = everything(videos, tmp_path / "straight")
    request.getfixturevalue("backwards")
    assert everything(videos, tmp_path / "backwards") == straight


def test_a_time_limit_is_kept_by_a_clock_that_goes_backwards(backwards: None) -> None:
    assert list(local.run(nap, [0.01, 1000], workers=1, seconds=1, memory_mb=512)) == [
        0.01, Rejected("took longer than 1 s"),
    ]  # fmt: skip


def test_a_clock_that_jumps_ahead_rejects_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks = time.time(), count(1)
    monkeypatch.setattr(time, "time", lambda: now + 3600 * next(looks))
    assert list(local.run(nap, [0.3, 0.2, 0.1], workers=1, seconds=60, memory_mb=512)) == [0.3, 0.2, 0.1]
