"""Clips that do not fit into the device's memory: they come to it as they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeAlias

import torch
from torch import Tensor


class StreamedClips:
    """Stands for a tensor of clips (N, F, 3, H, W) uint8 that is not in memory; the clips that are asked for are.

    A thread reads. Whoever knows the next clips can have them read meanwhile: two lots are in memory then, those in use
    and the next ones. The host has to know which clips are meant, so that asking waits for the device.

    Args:
        fetch: indices → these clips, (B, F, 3, H, W) uint8, in the host's memory, which is best pinned for a GPU; it is
            called in the thread.
        shape: (N, F, 3, H, W).
        device: where the clips are to come.
    """

    def __init__(self, fetch: Callable[[list[int]], Tensor], shape: tuple[int, ...], device: torch.device) -> None:
        self.shape, self.device = shape, device
        self._fetch = fetch
        self._reader = ThreadPoolExecutor(1, "clips")
        self._next: tuple[Tensor, Future[Tensor]] | None = None

    def __reduce__(self) -> tuple[type[StreamedClips], tuple[Any, ...]]:
        """For another process: what is being read stays here."""
        return StreamedClips, (self._fetch, self.shape, self.device)

    def clips(self, index_B: Tensor) -> Tensor:
        """These clips, (B, F, 3, H, W) uint8, on the device.

        Raises:
            Exception: what `fetch` raised.
        """
        index_B = index_B.cpu()
        if self._next is None or not torch.equal(self._next[0], index_B):
            self.prefetch(index_B)
        assert self._next is not None
        (_, reading), self._next = self._next, None
        return reading.result().to(self.device, non_blocking=True)

    def prefetch(self, index_B: Tensor) -> None:
        """Begin to read the clips that will be asked for next; others that were expected are given up."""
        if self._next is not None:
            self._next[1].cancel()
        index_B = index_B.cpu()
        self._next = index_B, self._reader.submit(self._fetch, index_B.tolist())


#: Clips (N, F, 3, H, W) uint8: in the device's memory, or streamed to it.
Clips: TypeAlias = Tensor | StreamedClips
