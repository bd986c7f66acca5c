"""The command line as a process of its own, and what else runs for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc to find processes")


def start(
    arguments: Sequence[object], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """`idtd ARGUMENTS`, in a session of its own, its talk appended to a file."""
    with open(log, "a", encoding="utf-8") as talk:
        return subprocess.Popen(
            [sys.executable, "-m", "idtd_cli", *map(str, arguments)],
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=talk,
            stderr=talk,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | dict(environment or {}),
            start_new_session=True,
        )


def running(session: int) -> dict[int, str]:
    """The processes of a session by number, with their command lines. One that only waits to be reaped has ended."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found[int(status.parent.name)] = (status.parent / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def wait_until(so: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether it became so in time."""
    end = time.monotonic() + seconds
    while not (now := so()) and time.monotonic() < end:
        time.sleep(0.002)
    return now


def all_gone(session: int) -> bool:
    """Whether all processes of a session end by themselves."""
    return wait_until(lambda: not running(session), 20)
