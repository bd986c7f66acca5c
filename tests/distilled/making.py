"""A distilled set of noise, of classes with awkward names."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from idtd_cli import distilled, storage
from idtd_cli.distilled import SetDocument, shards
from idtd_cli.recipe import ClipConfig, EvaluateConfig

#: Names that would be trouble as parts of a path or of a WebDataset key, and two that look alike once they are safe.
NAMES = ("a/b", "../up", "v1.5", "naïve 跑步", "", ".hidden", "x" * 300, "a\nb", "a?b", 'quo"te')
IPC, FRAMES, HEIGHT, WIDTH, SEGMENTS = 2, 4, 6, 10, 2
LABELS = torch.arange(len(NAMES)).repeat_interleave(IPC)
LOGITS_NKC = torch.arange(len(LABELS) * SEGMENTS * len(NAMES)).view(len(LABELS), SEGMENTS, len(NAMES)) / 7


def document(**changes: Any) -> SetDocument:
    count = len(NAMES) * IPC
    facts: dict[str, Any] = {
        "parents": {"run": "r", "prepared": "p"},
        "method": "idtd",
        "seed": 0,
        "classes": NAMES,
        "ipc": IPC,
        "videos_a_class": IPC,
        "clip": ClipConfig(frames=FRAMES, stored_frames=FRAMES, height=HEIGHT, width=WIDTH),
        "frames": FRAMES,
        "segments": SEGMENTS,
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "evaluate": EvaluateConfig(),
        "stored_frames": count * FRAMES,
        "stored_bytes": count * FRAMES * 3 * HEIGHT * WIDTH,
        "fps": 8,
    }
    return SetDocument(**facts | changes)


def videos(seed: int = 0) -> torch.Tensor:
    shape = (len(NAMES) * IPC, FRAMES, 3, HEIGHT, WIDTH)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def write(folder: Path, logits: torch.Tensor | None = None, **changes: Any) -> SetDocument:
    folder.mkdir(exist_ok=True)
    return distilled.write(folder, document(**changes), videos(), LABELS, logits)


def small(folder: Path, logits: torch.Tensor | None = None, **changes: Any) -> SetDocument:
    """A set of two videos."""
    folder.mkdir(exist_ok=True)
    facts = {"classes": ("a", "b"), "ipc": 1, "videos_a_class": 1} | changes
    return distilled.write(folder, document(**facts), videos()[:2], torch.arange(2), logits)


def members(folder: Path) -> dict[str, bytes]:
    """Name → content of everything in the shards of a set, in order."""
    found = {}
    for name in shards.names(of(folder)):
        with tarfile.open(folder / name) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    return found


def of(folder: Path) -> SetDocument:
    from idtd_cli import documents

    return documents.read(SetDocument, folder)


def rewrite(folder: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
    """Put other members into the one shard of a set, with the right checksum."""
    content = change(members(folder))
    (shard,) = (folder / "data").glob("*.tar")
    with tarfile.open(shard, "w") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    sign(folder)


def sign(folder: Path) -> None:
    """Make the checksums of the shards and of set.json right again."""
    sums = distilled.read_sums(folder)
    for path in (folder / SetDocument.FILE, *(folder / "data").glob("*.tar")):
        sums[path.relative_to(folder).as_posix()] = storage.sha256_file(path)
    lines = [f"{digest}  {name}\n" for name, digest in sums.items()]
    (folder / distilled.SUMS).write_text("".join(lines))


def edit(folder: Path, **changes: object) -> None:
    """Let set.json say something else."""
    path = folder / SetDocument.FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    sign(folder)
