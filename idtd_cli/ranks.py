"""The processes that work on one run together, as torchrun starts them; without it there is one, at no cost.

Tensors on a GPU meet by NCCL, those of the host by Gloo.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from idtd_cli.errors import STOPPED, IdtdError, InputError

#: How long one waits for another: rank 0 may be validating meanwhile. Where a process ends, torchrun ends all at once.
_PATIENCE = timedelta(hours=12)
#: Seconds that a rank waits for the others at the end.
_FAREWELL = 20
_WHICH = "torchrun says which; the same command with --resume goes on."


@dataclass(frozen=True)
class Ranks:
    """This process among those that work together; alone by default.

    What several of them call, all must call, in the same order.

    Attributes:
        number: this one's, from 0 on.
        of: how many there are.
        local: this one's number on its machine.
        here: how many there are on its machine.
    """

    number: int = 0
    of: int = 1
    local: int = 0
    here: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and talks."""
        return self.number == 0

    def take(self, device: str) -> None:
        """Work on a GPU of one's own, if the device is one.

        Raises:
            InputError: this machine has fewer GPUs than processes.
        """
        if self.of == 1 or not device.startswith("cuda"):
            return
        if self.here > (gpus := torch.cuda.device_count()):
            raise InputError(
                f"torchrun started {self.here} processes on a machine with {gpus} GPU{'s' * (gpus > 1)}.",
                "Start one a GPU (--nproc-per-node).",
            )
        torch.cuda.set_device(self.local)

    def sum(self, x: Tensor) -> Tensor:
        """The sum over all ranks, on each of them; differentiable, where each has a share of the loss."""
        if self.of == 1:
            return x
        summed: Tensor = _Sum.apply(x)  # type: ignore[no-untyped-call]
        return summed

    def any(self, here: bool) -> bool:
        """Whether it is so on any of them. Hosts wait for each other, and not for their devices."""
        return here if self.of == 1 else bool(self.sum(torch.tensor(int(here))))

    def joined(self, own: Tensor, rows: Sequence[int]) -> Tensor:
        """The rows that the ranks have, so many each, below one another: on rank 0, in the host's memory.

        Elsewhere it is the own ones that come back.
        """
        if self.of == 1:
            return own
        import torch.distributed as distributed

        own = own.cpu().contiguous()
        with _together():
            if not self.first:
                distributed.send(own, 0)
                return own
            parts = [own, *(own.new_empty(count, *own.shape[1:]) for count in rows[1:])]
            for number, part in enumerate(parts[1:], 1):
                distributed.recv(part, number)
        return torch.cat(parts)

    def from_first(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What rank 0 has, on all of them and in the host's memory; what the others give is not looked at."""
        if self.of == 1:
            return dict(tensors)
        import torch.distributed as distributed

        data = torch.frombuffer(bytearray(save(dict(tensors))), dtype=torch.uint8) if self.first else torch.empty(0)
        size = torch.tensor(len(data))
        with _together():
            distributed.broadcast(size, 0)
            if not self.first:
                data = torch.empty(int(size), dtype=torch.uint8)
            distributed.broadcast(data, 0)
        return load(data.numpy().tobytes())

    def number_from_first(self, number: float) -> float:
        """The number that rank 0 has, on all of them."""
        return float(self.from_first({"number": torch.tensor(number, dtype=torch.float64)})["number"])


#: The world of one.
ALONE = Ranks()


class _Sum(torch.autograd.Function):
    """The sum over ranks. What comes back to one is the sum of what the shares of all ranks have to say."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return _summed(x)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _summed(x: Tensor) -> Tensor:
    import torch.distributed as distributed

    x = x.clone(memory_format=torch.contiguous_format)
    with _together():
        distributed.all_reduce(x)
    return x


@contextmanager
def _together() -> Iterator[None]:
    """
    Raises:
        IdtdError: another rank is gone, so that there is nobody to talk to.
    """
    try:
        yield
    except RuntimeError as error:
        raise IdtdError("Another process of this run has ended.", _WHICH) from error


def told_to_end(*_: object) -> None:
    """What SIGTERM does: torchrun sends it to those that are left, wherever they are.

    Raises:
        IdtdError: in these words, unless another reason to end was there first.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise IdtdError("torchrun ends this run: another process of it has ended, or torchrun was stopped.", _WHICH)


@contextmanager
def _in_words() -> Iterator[None]:
    """The end of a rank that is told to end."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are for the main thread to handle
        return
    before = signal.signal(signal.SIGTERM, told_to_end)
    try:
        yield
    except BaseException:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process ends by itself, and has its reason
        raise
    signal.signal(signal.SIGTERM, before)


@contextmanager
def started() -> Iterator[Ranks]:
    """The ranks of this process's surroundings, able to talk to each other until the block ends.

    Of an error that ends one rank, and so all, the first to have it is the one that raises it; the others leave without
    a word, by SystemExit.

    Raises:
        InputError: the surroundings are neither those of one process nor those that torchrun makes.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield ALONE
        return
    try:
        ranks = Ranks(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))
    except (KeyError, ValueError) as error:
        raise InputError(
            "WORLD_SIZE asks for several processes, and the rest of what torchrun tells them is missing.",
            "Start them with torchrun, or unset WORLD_SIZE.",
        ) from error
    import torch.distributed as distributed
    from torch.distributed.rendezvous import rendezvous

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and distributed.is_nccl_available() else "gloo"
    store, number, of = next(iter(rendezvous("env://", timeout=_PATIENCE)))
    distributed.init_process_group(backend, store=store, rank=number, world_size=of, timeout=_PATIENCE)
    try:
        with _in_words():
            yield ranks
    except BaseException as error:
        # The store is kept by torchrun's own process, and there after any rank; where rank 0 keeps it, it may be gone,
        # and nobody can say who was first.
        try:
            first = store.add("idtd/failed", 1) == 1
        except RuntimeError:
            first = True
        if first:
            raise
        code = STOPPED if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)
        raise SystemExit(code) from error
    # All are done before any takes its connections down, by the store: gloo ends a process whose peers leave, or whose
    # connections go, while its threads are at it still.
    with suppress(RuntimeError):
        store.add("idtd/done", 1)
        end = time.monotonic() + _FAREWELL
        while store.add("idtd/done", 0) < of and time.monotonic() < end:
            time.sleep(0.05)
    distributed.destroy_process_group()
