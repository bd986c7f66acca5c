"""A real disk that is full at each write: one sentence, nothing half-written, and the same bytes once there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny
from tests.faults.processes import ROOT

_MOUNT = ["unshare", "--user", "--map-root-user", "--mount"]


def _may_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    tried = subprocess.run([*_MOUNT, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", ["prepare", "distill", "export", "evaluate", "download"])
def test_full_at_each_write(
    videos: Path, prepared: Path, finished: Path, exported: Path, tmp_path: Path, command: str
) -> None:
    if not _may_mount():
        pytest.skip("this system lets nobody mount a small disk of his own (unshare -Urm)")
    recipe = tiny.write_recipe(tmp_path / "recipe.yaml")
    given = {
        "prepare": (videos, recipe),
        "distill": (prepared, ""),
        "export": (finished, ""),
        "evaluate": (exported, prepared),
        "download": (exported, ""),
    }[command]
    (tmp_path / "disk").mkdir()
    done = subprocess.run(
        [*_MOUNT, sys.executable, "-m", "tests.faults.filled", command, tmp_path / "disk", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HOME": str(tmp_path / "disk" / "cache")},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files, writes = map(int, done.stdout.split())
    assert files >= 6
    assert writes >= 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o555)
    command = [sys.executable, "-m", "idtd_cli", "distill", prepared, tmp_path / "theirs" / "run", "--device", "cpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"idtd: {tmp_path / 'theirs' / 'run'} cannot be made (Permission denied). Name another folder."
    )
