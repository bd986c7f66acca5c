"""The clips of a prepared set, for the device: in its memory if they fit, and read as they are drawn if they do not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from idtd_cli.method.streamed_clips import Clips, StreamedClips
from idtd_cli.prepared import PreparedSet
from idtd_cli.report import summary
from idtd_cli.runlog import Progress

#: Clips are in memory if they take no more of what is free: what is made of them needs the rest.
SHARE = 0.5
#: Bytes of them that the host reads at a time on their way to another device.
_AT_A_TIME = 256 << 20


def load(source: PreparedSet, split: str, device: str, progress: Progress) -> tuple[Clips, Tensor]:
    """All clips of a split, sorted by class: (N, F, 3, H, W) uint8 and labels (N,) int64, for the device.

    Results do not depend on where the clips are; `progress` is told if it is not the memory.

    Raises:
        InputError: a shard is damaged.
        IdtdError: a shard can no longer be read. Clips that are streamed raise both when they are drawn.
    """
    rows, clip = source.rows(split), source.document.clip
    labels_N = torch.tensor([row.label for row in rows], dtype=torch.int64, device=device)
    shape = (len(rows), clip.stored_frames, 3, clip.height, clip.width)
    size, free = torch.Size(shape).numel(), free_bytes(device)
    if size > SHARE * free:
        progress.note(
            f"The {split} clips of {source.folder} take {summary.size(size)}, more than {SHARE:.0%} of the free memory "
            f"({summary.size(free)}): they are read as they are drawn."
        )

        def fetch(index: list[int]) -> Tensor:
            return source.read([rows[number] for number in index], pinned=device.startswith("cuda"))

        return StreamedClips(fetch, shape, torch.device(device)), labels_N
    videos_NF3HW = torch.empty(shape, dtype=torch.uint8, device=device)
    step = max(1, _AT_A_TIME * len(rows) // max(1, size))
    for first in range(0, len(rows), step):
        videos_NF3HW[first : first + step] = source.read(rows[first : first + step])
    return videos_NF3HW, labels_N


def free_bytes(device: str) -> int:
    """Memory of the device that this process may still take, roughly: what is cached and can be let go of is free."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info()
        return free
    return min(_host_bytes())


def _host_bytes() -> Iterator[int]:
    """Upper bounds of what the host has to give."""
    yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if (meminfo := Path("/proc/meminfo")).is_file():
        facts = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        yield int(facts["MemAvailable"].split()[0]) << 10
    # A container or a batch job may have less than the machine: so much for the control groups that it is in.
    if (groups := Path("/proc/self/cgroup")).is_file():
        own = Path("/sys/fs/cgroup", groups.read_text().splitlines()[-1].partition("::")[2].strip("/"))
        for group in (own, *own.parents):
            limit = group / "memory.max"
            if limit.is_file() and (text := limit.read_text().strip()) != "max":
                yield int(text)
