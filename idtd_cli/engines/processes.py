"""How the processes of a pool begin and end."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, forkserver, util
from typing import Any

from pebble import ProcessExpired

from idtd_cli.errors import InputError


def context() -> Any:
    """How workers are started: by a server that has imported the decoder once, where the system has fork.

    Never by forking this process: it may hold threads of torch.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["idtd_cli.video.decode", "idtd_cli.recipe"])
    try:
        with _sigint_blocked():
            forkserver.ensure_running()
    except OSError as error:  # the name of a socket has an end, which macOS and pytest reach sooner than others
        if "AF_UNIX" not in str(error):
            raise
        raise InputError(
            f"The name of the folder for temporary files is too long for a socket: {util.get_temp_dir()}.",
            "Set TMPDIR to a shorter one.",
        ) from error
    return server


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """The server and its workers inherit the block: Ctrl-C ends them through this process, without their tracebacks."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def lead_group(scratch: str) -> None:
    """Lead a group of processes from here on, which ends when the one that the work is for does, killed or not.

    Args:
        scratch: its folder for the socket of the server that forks workers, which it cannot remove if it was killed.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, args=(scratch,), daemon=True).start()


def _end_with_parent(scratch: str) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def told_end(error: ProcessExpired | BrokenProcessPool) -> str:
    """How a process ended."""
    code = getattr(error, "exitcode", 0) or 0
    return f"signal {-code}" if code < 0 else f"exit code {code}"
