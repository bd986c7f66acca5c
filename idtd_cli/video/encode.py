"""Encoding through ffmpeg: lossless for the sets themselves, viewable for people, plain for made-up datasets.

Every encoding here gives the same bytes for the same frames: one thread, no encoder's date, and no macroblock tree,
which makes x264 differ from run to run.
"""

from __future__ import annotations

from pathlib import Path

import ffmpeg
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from idtd_cli.errors import IdtdError

Frames = NDArray[np.uint8]

#: Short side, in pixels, from which a synthetic video can be looked at.
_VIEWABLE = 128


def write_lossless(path: Path, frames_THW3: Frames, fps: float) -> None:
    """Write frames so that reading them gives every value back: H.264 in RGB, quantiser 0, in MP4.

    Raises:
        IdtdError: ffmpeg failed.
    """
    _run(path, frames_THW3, fps, {"c:v": "libx264rgb", "qp": 0, "pix_fmt": "rgb24"})


def write_viewable(path: Path, frames_THW3: Frames, fps: float) -> None:
    """Write a video for people, which every browser plays; small frames are enlarged to squares of pixels.

    Raises:
        IdtdError: ffmpeg failed.
    """
    factor = -(-_VIEWABLE // min(frames_THW3.shape[1:3]))
    write_h264(path, frames_THW3.repeat(factor, axis=1).repeat(factor, axis=2), fps, crf=18)


def write_h264(path: Path, frames_THW3: Frames, fps: float, *, crf: int) -> None:
    """Write an ordinary MP4: H.264, 4:2:0, of quality `crf` (0 best, 51 worst). Odd sides gain a row or column.

    Raises:
        IdtdError: ffmpeg failed.
    """
    _, height, width, _ = frames_THW3.shape
    if height % 2 or width % 2:  # 4:2:0 halves both sides
        frames_THW3 = np.pad(frames_THW3, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    options = {"c:v": "libx264", "crf": crf, "pix_fmt": "yuv420p", "x264-params": "mbtree=0", "movflags": "+faststart"}
    _run(path, frames_THW3, fps, options)


def _run(path: Path, frames_THW3: Frames, fps: float, options: dict[str, object]) -> None:
    if frames_THW3.dtype != np.uint8 or frames_THW3.ndim != 4 or frames_THW3.shape[3] != 3 or not frames_THW3.size:
        raise ValueError(f"frames must be (T, H, W, 3) uint8, not {frames_THW3.shape} {frames_THW3.dtype}")
    _, height, width, _ = frames_THW3.shape
    stream = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", framerate=f"{fps:g}")
    same_bytes = {"threads": 1, "fflags": "+bitexact", "flags:v": "+bitexact", "map_metadata": -1}
    # The protocol is named, so that a colon in a file's name does not name another.
    stream = stream.output(f"file:{path.absolute()}", format="mp4", preset="medium", **options, **same_bytes)
    try:
        stream.overwrite_output().global_args("-hide_banner", "-loglevel", "error").run(
            cmd=imageio_ffmpeg.get_ffmpeg_exe(),
            input=np.ascontiguousarray(frames_THW3).tobytes(),
            capture_stdout=True,
            capture_stderr=True,
        )
    except ffmpeg.Error as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise IdtdError(
            f"{path} could not be encoded; ffmpeg says: {lines[-1].rstrip('.')}.", "`idtd doctor` tries the encoder."
        ) from error
    except (OSError, RuntimeError) as error:
        raise IdtdError(f"{path} could not be encoded: {error}.", "`idtd doctor` tries the encoder.") from error
