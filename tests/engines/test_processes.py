from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from idtd_cli.engines import local, processes
from idtd_cli.errors import InputError

_CHILDREN = """
import multiprocessing, sys, time
from idtd_cli.engines import local

if __name__ == "__main__":
    for item in local.FUNCTION(time.sleep, [0, 1000, 1000, 1000], workers=2, LIMITS):
        print("started", flush=True)
"""
_LIMITS = {"run": "seconds=1000, memory_mb=512", "compute": "threads=1, gpus=0"}


def _start(function: str, script: Path) -> subprocess.Popen[str]:
    """A process of a group of its own, whose workers are at it."""
    script.write_text(_CHILDREN.replace("FUNCTION", function).replace("LIMITS", _LIMITS[function]))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def _running(session: int) -> list[str]:
    """The processes of a session that still run: a zombie waits for whoever adopts orphans and counts as ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(status.parent.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc to find processes")
@pytest.mark.parametrize("function", _LIMITS)
def test_ctrl_c_ends_everything_at_once_without_noise(tmp_path: Path, function: str) -> None:
    process = _start(function, tmp_path / "script.py")
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    start = time.monotonic()
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert err.count("Traceback") == 1, err  # the one of the script itself
    assert "KeyboardInterrupt" in err
    _need_gone(process.pid)


def _need_gone(group: int) -> None:
    until = time.monotonic() + 20
    while _running(group) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _running(group)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc to find processes")
def test_work_of_our_own_does_not_outlive_a_command_that_is_killed(tmp_path: Path) -> None:
    """An item may take hours; a worker would look for its pool only then."""
    process = _start("compute", tmp_path / "script.py")
    process.kill()
    process.communicate(timeout=20)
    _need_gone(process.pid)


def test_a_folder_for_temporary_files_whose_name_is_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError("AF_UNIX path too long")

    monkeypatch.setattr(processes.forkserver, "ensure_running", fails)
    with pytest.raises(InputError, match=r"too long for a socket: .*Set TMPDIR to a shorter one"):
        list(local.run(str, [1], workers=1, seconds=9, memory_mb=512))
