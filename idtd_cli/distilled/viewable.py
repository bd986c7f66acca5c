"""The clips of a set as ordinary MP4s in class folders: for people, and for programs that can live with lost values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from idtd_cli.distilled.document import SetDocument
from idtd_cli.errors import IdtdError
from idtd_cli.recipe import ClipConfig
from idtd_cli.video import decode, encode
from idtd_cli.video.medium import File


def names(document: SetDocument) -> list[str]:
    """The MP4s of a set, relative to its folder, in the order of its clips."""
    folders = document.class_files()
    return [f"videos/{folders[n // document.videos_a_class]}/{document.key(n)}.mp4" for n in range(document.count)]


def write(folder: Path, document: SetDocument, videos_NT3HW: Tensor, done: Callable[[], None]) -> SetDocument:
    """Write a set's MP4s. Returns the document, with what they lose.

    Raises:
        IdtdError: ffmpeg failed, or a video cannot be read back.
    """
    apart = 0.0
    for name, video_T3HW in zip(names(document), videos_NT3HW, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        encode.write_viewable(path, video_T3HW.permute(0, 2, 3, 1).contiguous().numpy(), document.fps)
        apart += float((_read(path, document).float() - video_T3HW.float()).abs().mean())
        done()
    return document.model_copy(update={"lossy_error": round(apart / document.count, 3)})


def read(folder: Path, document: SetDocument) -> Tensor:
    """What a program gets that takes the MP4s for the set: decoded, at the set's size. (N, T, 3, H, W) uint8.

    Raises:
        IdtdError: a video cannot be read, or has too few frames.
    """
    return torch.stack([_read(folder / name, document) for name in names(document)])


def _read(path: Path, document: SetDocument) -> Tensor:
    frames, height, width = document.frames, document.clip.height, document.clip.width
    whole = ClipConfig(
        frames=frames, stored_frames=frames, height=height, width=width, resize="stretch", min_frames=frames
    )
    try:
        return torch.from_numpy(decode.decode(File(path), whole).clip_F3HW)
    except decode.DecodeError as error:
        raise IdtdError(f"{path} {error.reason}.", "Export the set again.") from error
