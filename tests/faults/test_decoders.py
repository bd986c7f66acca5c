"""Decoders that crash, hang, fork, print megabytes and eat memory: a run goes on, and their files are listed."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from idtd_cli.prepared import PreparedSet
from tests import tiny
from tests.faults.processes import ROOT, all_gone, needs_proc, running, wait_until

pytestmark = needs_proc

REASONS = {
    "eats memory": "needs more than 600 MiB of memory",
    "forks and crashes": "crashed the decoder (signal 6)",
    "forks and hangs": "took longer than 3 s",
    "hangs": "took longer than 3 s",
    "segfault": "crashed the decoder (signal 11)",
}
#: What does harm and still gives a clip.
CLIPS = ("forks", "prints")


@pytest.fixture
def source(videos: Path, tmp_path: Path) -> Path:
    """Four good videos of each class, and the bad ones among those of the first."""
    for folder in sorted(path for path in videos.iterdir() if path.is_dir()):
        (tmp_path / "films" / folder.name).mkdir(parents=True)
        for video in sorted(folder.glob("train_*.mp4")):
            shutil.copy(video, tmp_path / "films" / folder.name)
    first = next((tmp_path / "films").iterdir())
    for name in (*REASONS, *CLIPS):
        shutil.copy(next(first.glob("train_*.mp4")), first / f"{name}.mp4")
    return tmp_path / "films"


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where processes put their sockets, whose names have an end that pytest's folders may reach."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def prepare(source: Path, out: Path, temporary: Path, seconds: float) -> subprocess.Popen[str]:
    settings = {"workers": 2, "seconds": seconds, "memory_mb": 600}
    recipe = tiny.write_recipe(out.parent / "recipe.yaml", prepare__decode=settings)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.planted", "prepare", source, out, "--recipe", recipe],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(temporary)},
        start_new_session=True,
    )


def test_a_run_goes_on(source: Path, tmp_path: Path, temporary: Path) -> None:
    process = prepare(source, tmp_path / "out", temporary, seconds=3)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert all_gone(process.pid), running(process.pid)  # those that sleep in what decoders forked
    assert len(out + err) < 2000
    assert "noise" not in out + err
    with open(tmp_path / "out" / "rejects.csv", newline="", encoding="utf-8") as file:
        rejected = {Path(row["path"]).stem: row["reason"] for row in csv.DictReader(file)}
    assert rejected == REASONS
    stored = [Path(row.id).stem for row in PreparedSet.open(tmp_path / "out").index]
    assert len(stored) == 12 + len(CLIPS)
    assert {*CLIPS} < {*stored}


def test_workers_that_hang_end_with_a_run_that_is_killed(source: Path, tmp_path: Path, temporary: Path) -> None:
    """And so does what they forked, and the folder of the socket that they were started by."""
    for path in source.rglob("*.mp4"):
        if path.stem not in ("forks and hangs", "hangs") and not path.stem.startswith("train"):
            path.unlink()
    process = prepare(source, tmp_path / "out", temporary, seconds=500)
    assert wait_until(lambda: len(running(process.pid)) >= 6), running(
        process.pid
    )  # it, two that Python starts, two workers, what one forked
    process.kill()
    process.communicate(timeout=20)
    assert all_gone(process.pid), running(process.pid)
    assert list(temporary.iterdir()) == []
