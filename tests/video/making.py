"""Small videos of every awkward form, made with ffmpeg, and ffmpeg's own full decode of them as the reference."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from idtd_cli.recipe import ClipConfig

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()


def ffmpeg(*arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run([FFMPEG, "-v", "error", "-y", *arguments], input=stdin, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def make(path: Path, options: str = "-c:v libx264 -pix_fmt yuv420p", *, size: str = "64x48", frames: int = 40) -> Path:
    """A video of large coloured squares, drawn anew in every frame, so that no frame passes for another."""
    width, height = map(int, size.split("x"))
    squares = np.random.default_rng(0).integers(40, 216, (frames, 3, 4, 3), dtype=np.uint8)
    rows, columns = np.arange(height) * 3 // height, np.arange(width) * 4 // width
    pixels = squares[:, rows][:, :, columns]
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", "25", "-i", "-"]
    ffmpeg(*source, *options.split(), str(path), stdin=pixels.tobytes())
    return path


def reference(path: Path, height: int, width: int) -> NDArray[np.uint8]:
    """All frames of a video as ffmpeg decodes them, upright: T, 3, height, width."""
    scale = f"scale={width}:{height}:flags=area+accurate_rnd+full_chroma_int+bitexact"
    arguments = ["-i", str(path), "-fps_mode", "passthrough", "-vf", scale]
    raw = ffmpeg(*arguments, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3).transpose(0, 3, 1, 2)


def every_frame(frames: int, size: int = 32, **settings: object) -> ClipConfig:
    """Stores each frame of a video of `frames` frames, at its own place."""
    return ClipConfig.model_validate(
        {"frames": 1, "stored_frames": frames, "height": size, "width": size, "resize": "stretch", "min_frames": 1}
        | settings
    )


def differences(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean absolute difference of each frame."""
    return np.abs(a.astype(np.int16) - b).mean(axis=(1, 2, 3))


def shared_data(name: str) -> Path:
    """A folder of real videos, which may be absent."""
    root = Path(os.environ.get("IDTD_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
    if not (root / name).is_dir():
        pytest.skip(f"no real videos at {root / name} (IDTD_SHARED_DATA names their folder)")
    return root / name
