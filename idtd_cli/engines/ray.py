"""A Ray cluster. Its tasks run batches of files, each file in the same guarded process as on this machine."""

from __future__ import annotations

import functools
import logging
import os
import platform
import re
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from idtd_cli import host_memory
from idtd_cli.engines.engine import Rejected
from idtd_cli.engines.guarded import Pool
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.version import __version__
from idtd_cli.video import decode

T = TypeVar("T")
R = TypeVar("R")

#: Items of a task: enough that Ray's own work, a few milliseconds a task, is lost beside them.
_BATCH = 4
#: How often Ray runs a task again whose process or node was lost.
_RETRIES = 3
_NEEDS = "Every node needs idtd-cli[ray] in the same version, and the files under the same paths."


def run(
    job: Callable[[T], R], items: Sequence[T], *, workers: int, seconds: float, memory_mb: int
) -> Generator[R | Rejected, None, None]:
    """Of files: see `Engine`. The cluster is the one that RAY_ADDRESS names, else the one that runs here.

    Tasks of one process each, rather than actors: Ray places them where there is room, and runs those again whose
    process or node was lost.
    """
    if not items:
        return
    with _cluster() as ray:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if not cpus:
            raise InputError("The Ray cluster has no CPUs.", "Add a node to it with `ray start --address=ADDRESS`.")
        task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_run_batch)
        batches = (list(items[start : start + _BATCH]) for start in range(0, len(items), _BATCH))
        calls = (partial(task.remote, job, batch, seconds, memory_mb, Path.cwd(), _versions()) for batch in batches)
        # Ray runs no more than there are CPUs; the others are next.
        for results in _in_order(ray, calls, workers or 2 * cpus):
            yield from results


def need_room(*, threads: int, gpus: int) -> None:
    """Whether there is a cluster, and a node for a task: see `Engine`."""
    with _cluster() as ray:
        _room(ray, threads, gpus)


def compute(
    job: Callable[[T], R], items: Sequence[T], *, workers: int, threads: int, gpus: int
) -> Generator[tuple[int, R], None, None]:
    """Of work of our own: see `Engine`. A task is an item, and takes as many CPUs of a node as it has threads."""
    if not items:
        return
    with _cluster() as ray:
        room = _room(ray, threads, gpus)
        task = ray.remote(num_cpus=threads, num_gpus=1 if gpus else 0, max_retries=_RETRIES)(_compute)
        shared = ray.put(job)
        calls = (partial(task.remote, shared, item, Path.cwd(), _versions_of_networks()) for item in items)
        yield from _as_they_end(ray, calls, workers or 2 * room)


def _room(ray: Any, threads: int, gpus: int) -> int:
    """How many tasks the nodes can run at a time.

    Raises:
        InputError: none.
    """
    needed = {"CPU": threads} | ({"GPU": 1} if gpus else {})
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(min(int(node.get(name, 0) // count) for name, count in needed.items()) for node in nodes)
    if not room:
        raise InputError(
            f"No node of the Ray cluster has the {threads} CPUs{' and the GPU' if gpus else ''} that it takes.",
            "OMP_NUM_THREADS says how many it takes; `ray start --num-cpus` how many a node has.",
        )
    return room


def _in_order(ray: Any, calls: Iterable[Callable[[], Any]], at_once: int) -> Generator[Any, None, None]:
    """The results of tasks, which are started as others end; twice as many as run at once may wait for the first."""
    source = iter(calls)
    pending: deque[Any] = deque()  # in order
    running: list[Any] = []
    try:
        while True:
            _, running = ray.wait(running, num_returns=len(running), timeout=0) if running else ([], [])
            for call in islice(source, max(0, min(at_once - len(running), 2 * at_once - len(pending)))):
                pending.append(call())
                running.append(pending[-1])
            if not pending:
                return
            if pending[0] in running:
                ray.wait(running, num_returns=1)
            else:
                yield _result(ray, pending.popleft(), "decode", "a batch of videos")
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)


def _as_they_end(ray: Any, calls: Iterable[Callable[[], Any]], at_once: int) -> Generator[tuple[int, Any], None, None]:
    """The results of tasks with their numbers, as they are there; tasks are started as others end."""
    source = enumerate(calls)
    running: dict[Any, int] = {}
    try:
        while True:
            for number, call in islice(source, at_once - len(running)):
                running[call()] = number
            if not running:
                return
            ray.wait([*running], num_returns=1)
            ended, _ = ray.wait([*running], num_returns=len(running), timeout=0)
            failed = []
            for reference in ended:
                number = running.pop(reference)
                try:
                    result = _result(ray, reference, "compute", "a computation")
                except IdtdError:
                    failed.append(reference)
                else:
                    yield number, result
            for reference in failed:  # last: it ends all that is at work
                _result(ray, reference, "compute", "a computation")
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _run_batch(
    job: Callable[[T], R], items: list[T], seconds: float, memory_mb: int, folder: Path, versions: dict[str, str]
) -> list[R | Rejected]:
    """A task of files, on some node of the cluster."""
    _settle(folder, versions, _versions())
    return list(_pool(seconds, memory_mb).run(job, items))


def _compute(job: Callable[[T], R], item: T, folder: Path, versions: dict[str, str]) -> R:
    """A task of work of our own, on some node of the cluster."""
    host_memory.keep()  # as the command does
    _settle(folder, versions, _versions_of_networks())
    return job(item)


def _settle(folder: Path, versions: dict[str, str], found: dict[str, str]) -> None:
    """Begin a task: with the same software, in the folder that relative paths are meant from.

    Raises:
        IdtdError: this node has other versions.
    """
    if found != versions:
        name = next(name for name in {**versions, **found} if found.get(name) != versions.get(name))
        raise IdtdError(
            f"The Ray node {platform.node()} has {name} {found.get(name, 'not at all')}, "
            f"and this machine {versions.get(name, 'not at all')}.",
            _NEEDS,
        )
    os.chdir(folder)


@functools.cache
def _pool(seconds: float, memory_mb: int) -> Pool:
    """One guarded process, which serves all the tasks that Ray gives to this one."""
    return Pool(1, seconds, memory_mb)


def _versions() -> dict[str, str]:
    """Of what decides the bytes of a clip."""
    return {"idtd-cli": __version__, **decode.versions("pyav")}


def _versions_of_networks() -> dict[str, str]:
    """Of what decides what a network computes."""
    return {"idtd-cli": __version__, "torch": metadata.version("torch")}


def _result(ray: Any, reference: Any, doing: str, what: str) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, IdtdError):
            raise error.cause from error
        raise IdtdError(f"A node of the Ray cluster cannot {doing}: {error.cause}.", _NEEDS) from error
    except ray.exceptions.RayError as error:
        raise IdtdError(
            f"The Ray cluster lost {what} {_RETRIES + 1} times ({type(error).__name__}).",
            "Its logs say why; the same command goes on from there.",
        ) from error


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
