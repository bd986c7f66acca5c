"""Ray clusters for tests, as `ray start` makes them: free ports, all files in a folder that goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
#: In the surroundings of every process of a node that is to be killed.
_DOOMED = "IDTD_TEST_DOOMED"


@contextmanager
def head(cpus: int) -> Iterator[str]:
    """The first node of a cluster; gives its address."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:  # short: it holds sockets
        options = ["--head", "--port=0", f"--num-cpus={cpus}", "--include-dashboard=false", f"--temp-dir={folder}"]
        address = Path(folder) / "ray_current_cluster"  # Ray writes it last, after it has said that it runs
        with _started(options, Path(folder) / "log", lambda: address.exists() and address.read_text()):
            yield address.read_text()


@contextmanager
def doomed(address: str, cpus: int) -> Iterator[None]:
    """One more node, on which `Deadly` kills."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "log"
        options = [f"--address={address}", f"--num-cpus={cpus}"]
        with _started(options, log, lambda: "Ray runtime started" in log.read_text(), {_DOOMED: "1"}):
            yield


@contextmanager
def _started(
    options: list[str], log: Path, runs: Callable[[], object], environment: dict[str, str] | None = None
) -> Iterator[None]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, "--disable-usage-stats", "--block"]
    known = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"} | (environment or {})
    with log.open("w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=os.environ | known, start_new_session=True
        )
    try:
        until = time.monotonic() + 60
        while not runs():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


class Deadly:
    """A job in the middle of which its node is killed, all processes of it, once; on the other node it waits for that.

    Args:
        job: what it does apart from that.
        mark: a path where a file will be once it has happened.
    """

    def __init__(self, job: Callable[..., Any], mark: Path) -> None:
        self._job, self._mark = job, mark

    def __call__(self, *given: Any, **named: Any) -> Any:
        result = self._job(*given, **named)
        if os.environ.get(_DOOMED) and not self._mark.exists():
            self._mark.write_text("")
            _kill_node()
        until = time.monotonic() + 60
        while not self._mark.exists() and time.monotonic() < until:
            time.sleep(0.05)
        return result


def _kill_node() -> None:
    own = os.getpid()
    for process in [*_processes_of_the_node(own), own]:  # this one at last
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _processes_of_the_node(own: int) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int(folder.name) != own and f"{_DOOMED}=1".encode() in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)
