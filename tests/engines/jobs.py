"""What workers are given to do, and how it may go wrong.

They import this, and no torch with it: a build for CUDA takes more memory than they may.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from idtd_cli.errors import InputError
from idtd_cli.video.decode import DecodeError


def job(item: object) -> object:
    """Does what it is told, as a decoder on a bad file may."""
    match item:
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "hang":
            time.sleep(1000)
        case "deaf":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            time.sleep(1000)
        case "allocate":
            return len(bytearray(3 << 30))
        case "damaged":
            raise DecodeError("is damaged: so it is")
        case "bug":
            raise KeyError("no such\nkey")
        case "pid":
            return os.getpid()
        case "gpu":
            return os.environ["CUDA_VISIBLE_DEVICES"]
        case "refuse":
            raise InputError("It does not fit.", "Make it fit.")
        case ("lose once", path) if not Path(path).exists():
            Path(path).write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        case ("wait for", path):
            until = time.monotonic() + 60
            while not Path(path).exists() and time.monotonic() < until:
                time.sleep(0.01)
    return item


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def job_on_ray(item: object) -> object:
    """Does what `job` does, or harm to the cluster."""
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
    return job(item)


def _kill_task() -> None:
    """Kill the process that Ray runs: the parent of the server that starts workers."""
    os.kill(parent(os.getppid()), signal.SIGKILL)
    time.sleep(1000)


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
