"""Jobs that go wrong in every way that a decoder, or a machine, may."""

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
