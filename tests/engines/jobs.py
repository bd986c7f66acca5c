"""What workers are given to do. They import this, and no torch with it: a build for CUDA has more than they may."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.engines import test_local


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def job(item: object) -> object:
    """Does what `test_local.job` does, or harm to the cluster."""
    match item:
        case ("wait", path):
            Path(path).write_text(str(os.getpid()))
            time.sleep(1000)
        case ("meet", folder):
            here = Path(folder) / str(os.getpid())
            here.write_text("")
            time.sleep(0.05)
            met = len(list(Path(folder).iterdir()))
            here.unlink()
            return met
        case ("lose task", path) if not Path(path).exists():
            Path(path).write_text("")
            _kill_task()
        case "lose task":
            _kill_task()
        case ("lose once", path) if not Path(path).exists():
            Path(path).write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
    return test_local.job(item)


def _kill_task() -> None:
    """Kill the process that Ray runs: the parent of the server that starts workers."""
    os.kill(parent(os.getppid()), signal.SIGKILL)
    time.sleep(1000)


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
