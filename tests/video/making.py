"""Small videos of every awkward form, made with ffmpeg, and ffmpeg's own full decode of them as the reference."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import av
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


def make_packed(path: Path) -> Path:
    """An AVI as DivX wrote it: a B-frame shares the packet of the frame before, and an empty frame fills its place."""
    plain = make(path.with_suffix(".plain.avi"), "-c:v mpeg4 -bf 1 -g 20 -q:v 2")
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        frames = [bytes(packet) for packet in source.demux(video=0) if packet.size]
        start = b"\0\0\1\xb6"
        packets: list[bytes] = []
        for frame in frames:
            if frame[frame.index(start) + 4] >> 6 == 2:  # a B-frame
                packets[-1:] = [packets[-1] + frame, start + b"\x50\x00\x7f"]
            else:
                packets.append(frame)
        packets[0] = packets[0].replace(start, b"\0\0\1\xb2DivX503b1393p" + start)
        for number, data in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, stream.time_base, number == 0
            packet.pts = packet.dts = number
            target.mux(packet)
    return path


def spoil(path: Path, start: float, end: float) -> Path:
    """Put noise in place of the frames of an MP4, from one share of its length to another."""
    data = bytearray(path.read_bytes())
    first = data.index(b"mdat") + 4
    size = data.index(b"moov") - 8 - first
    begin, behind = first + int(start * size), first + int(end * size)
    data[begin:behind] = np.random.default_rng(0).bytes(behind - begin)
    path.write_bytes(data)
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
