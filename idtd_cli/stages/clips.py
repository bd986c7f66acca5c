"""The clips of a prepared set, for the device: in its memory if they fit, and read as they are drawn if they do not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from idtd_cli.errors import InputError
from idtd_cli.method.streamed_clips import Clips, StreamedClips
from idtd_cli.prepared import PreparedSet, Row
from idtd_cli.recipe import ScoringConfig, scoring_problem
from idtd_cli.report import summary
from idtd_cli.runlog import Progress
from idtd_cli.students.training import LabelledVideos

#: Clips are in memory if they take no more of what is free: what is made of them needs the rest.
SHARE = 0.5
#: Bytes of them that the host reads at a time on their way to another device.
_AT_A_TIME = 256 << 20


def load(
    source: PreparedSet, split: str, device: str, progress: Progress, processes: int = 1, draws: int = 1
) -> tuple[Clips, Tensor]:
    """All clips of a split, sorted by class: (N, F, 3, H, W) uint8 and labels (N,) int64, for the device.

    Of videos that are stored as several draws, F are the frames of the first, or of as many as `draws` asks for.

    Results do not depend on where the clips are; `progress` is told if it is not the memory. The device's memory is
    that of so many `processes`, that load the same.

    Raises:
        InputError: a shard is damaged.
        IdtdError: a shard can no longer be read. Clips that are streamed raise both when they are drawn.
    """
    rows, clip = source.rows(split), source.document.clip
    labels_N = torch.tensor([row.label for row in rows], dtype=torch.int64, device=device)
    frames = clip.drawn_frames * draws
    shape = (len(rows), frames, 3, clip.height, clip.width)
    size, free = torch.Size(shape).numel(), free_bytes(device) // processes
    if size > SHARE * free:
        progress.note(
            f"The {split} clips of {source.folder} take {summary.size(size)}, more than {SHARE:.0%} of the free memory "
            f"({summary.size(free)}): they are read as they are drawn."
        )
        fetch = partial(_fetch, source, rows, frames, device.startswith("cuda"))
        return StreamedClips(fetch, shape, torch.device(device)), labels_N
    videos_NF3HW = torch.empty(shape, dtype=torch.uint8, device=device)
    step = max(1, _AT_A_TIME * len(rows) // max(1, size))
    for first in range(0, len(rows), step):
        videos_NF3HW[first : first + step] = source.read(rows[first : first + step])[:, :frames]
    return videos_NF3HW, labels_N


def _fetch(source: PreparedSet, rows: Sequence[Row], frames: int, pinned: bool, index: list[int]) -> Tensor:
    """What streamed clips are read by; it can go to another process."""
    return source.read([rows[number] for number in index], pinned)[:, :frames]


def held(
    source: PreparedSet, split: str, scoring: ScoringConfig, device: str, progress: Progress, processes: int = 1
) -> LabelledVideos:
    """The videos of a split that students are asked for, with as many draws of each as the scoring looks at.

    Raises:
        InputError: they are not stored so that they could be scored like that; and as `load` does.
    """
    need_scorable(source, scoring)
    draws = scoring.views if source.document.clip.draws > 1 else 1
    return LabelledVideos(*load(source, split, device, progress, processes, draws), draws=draws)


def need_scorable(source: PreparedSet, scoring: ScoringConfig) -> None:
    """
    Raises:
        InputError: the videos are not stored so that they could be scored like that.
    """
    if problem := scoring_problem(scoring, source.document.clip):
        raise InputError(
            f"{source.folder} cannot be scored as the recipe says: {problem}.",
            "Change evaluate.scoring, or prepare the set again.",
        )


def free_bytes(device: str) -> int:
    """Memory of the device that this process may still take, roughly: what is cached and can be let go of is free."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info()
        return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return max(0, min(_host_bytes()))


def _host_bytes() -> Iterator[int]:
    """Upper bounds of what the host has to give."""
    yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if (meminfo := Path("/proc/meminfo")).is_file():
        facts = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        yield int(facts["MemAvailable"].split()[0]) << 10
    if (groups := Path("/proc/self/cgroup")).is_file():
        yield from group_bytes(groups.read_text(), Path("/sys/fs/cgroup"))


def group_bytes(groups: str, root: Path) -> Iterator[int]:
    """What the limits of control groups leave: a container or a batch job may have less than its machine.

    Args:
        groups: what /proc/self/cgroup says; those of version 2 are looked at.
        root: where the groups are mounted.
    """
    own = next((line.removeprefix("0::").strip("/") for line in groups.splitlines() if line.startswith("0::")), None)
    if own is None:
        return
    for group in (root / own, *(root / parent for parent in Path(own).parents)):
        limit, used = group / "memory.max", group / "memory.stat"
        if limit.is_file() and used.is_file() and (most := limit.read_text().strip()) != "max":
            facts = dict(line.split() for line in used.read_text().splitlines())
            yield int(most) - int(facts["anon"])  # what it holds of files makes room
