"""A Ray cluster: its tasks run batches of items, each item in the same guarded process as on this machine."""

from __future__ import annotations

import functools
import logging
import os
import platform
import re
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from idtd_cli.engines import local
from idtd_cli.engines.engine import Rejected
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.version import __version__
from idtd_cli.video import decode

T = TypeVar("T")
R = TypeVar("R")

#: Items of a task: enough that Ray's own work, a few milliseconds a task, is lost beside them.
_BATCH = 4
#: How often Ray runs a task again whose process or node was lost.
_RETRIES = 3
_NEEDS = "Every node needs idtd-cli[ray] in the same version, and the videos under the same paths."


def run(
    job: Callable[[T], R], items: Sequence[T], *, workers: int, seconds: float, memory_mb: int
) -> Generator[R | Rejected, None, None]:
    """The engine `ray`: see `Engine`. The cluster is the one that RAY_ADDRESS names, else the one that runs here.

    Tasks of one process each, rather than actors: Ray places them where there is room, and runs those again whose
    process or node was lost.
    """
    if not items:
        return
    with _cluster() as ray:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if not cpus:
            raise InputError("The Ray cluster has no CPUs.", "Add a node to it with `ray start --address=ADDRESS`.")
        at_once = workers or 2 * cpus  # Ray runs no more than there are CPUs; the others are next
        task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_run_batch)
        batches = (list(items[start : start + _BATCH]) for start in range(0, len(items), _BATCH))
        pending: deque[Any] = deque()  # in order
        running: list[Any] = []
        try:
            while True:
                _, running = ray.wait(running, num_returns=len(running), timeout=0) if running else ([], [])
                for batch in islice(batches, max(0, min(at_once - len(running), 2 * at_once - len(pending)))):
                    pending.append(task.remote(job, batch, seconds, memory_mb, Path.cwd(), _versions()))
                    running.append(pending[-1])
                if not pending:
                    return
                if pending[0] in running:
                    ray.wait(running, num_returns=1)
                else:
                    yield from _results(ray, pending.popleft())
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)


def _run_batch(
    job: Callable[[T], R], items: list[T], seconds: float, memory_mb: int, folder: Path, versions: dict[str, str]
) -> list[R | Rejected]:
    """The task, on some node of the cluster."""
    found = _versions()
    if found != versions:
        name = next(name for name in {**versions, **found} if found.get(name) != versions.get(name))
        raise IdtdError(
            f"The Ray node {platform.node()} has {name} {found.get(name, 'not at all')}, "
            f"and this machine {versions.get(name, 'not at all')}.",
            _NEEDS,
        )
    os.chdir(folder)  # for relative paths
    return list(_pool(seconds, memory_mb).run(job, items))


@functools.cache
def _pool(seconds: float, memory_mb: int) -> local.Pool:
    """One guarded process, which serves all the tasks that Ray gives to this one."""
    return local.Pool(1, seconds, memory_mb)


def _versions() -> dict[str, str]:
    """Of what decides the bytes of a clip."""
    return {"idtd-cli": __version__, **decode.versions("pyav")}


def _results(ray: Any, reference: Any) -> list[Any]:
    try:
        results: list[Any] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, IdtdError):
            raise error.cause from error
        raise IdtdError(f"A node of the Ray cluster cannot decode: {error.cause}.", _NEEDS) from error
    except ray.exceptions.RayError as error:
        raise IdtdError(
            f"The Ray cluster lost a batch of videos {_RETRIES + 1} times ({type(error).__name__}).",
            "Its logs say why; the same command goes on from there.",
        ) from error
    return results


@contextmanager
def _cluster() -> Iterator[Any]:
    """The module ray, connected; a connection that was there before stays."""
    try:
        import ray
    except ImportError as error:
        raise InputError("The engine ray is not installed.", "Install it with: pip install 'idtd-cli[ray]'.") from error
    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get("RAY_ADDRESS") or "auto"
    try:
        if re.fullmatch(r"[^/]+:\d+", address):
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()  # Ray itself would try for minutes
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            "No Ray cluster runs here." if address == "auto" else f"There is no Ray cluster at {address} ({error}).",
            "Start one with `ray start --head`, or name one in RAY_ADDRESS.",
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()
