"""Decoders that do harm, behind the interface that all decoders have: what they do is what the file is called."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Any

from idtd_cli.recipe import ClipConfig
from idtd_cli.sources import clip as real
from idtd_cli.sources.source import Video
from idtd_cli.video import decode

_GOOD = decode.DECODERS["pyav"]


def _harm(source: Any, part: Any) -> Any:
    match Path(source).stem:
        case "segfault":
            ctypes.string_at(0)
        case "hangs":
            time.sleep(1000)
        case "forks" | "forks and crashes" | "forks and hangs":
            if not os.fork():
                time.sleep(1000)
            if "crashes" in source:
                os.abort()
            if "hangs" in source:
                time.sleep(1000)
        case "prints":
            for stream in (1, 2):
                for _ in range(5000):
                    os.write(stream, b"noise " * 170 + b"\n")
        case "eats memory":
            eaten = []
            while True:
                eaten.append(bytearray(64 << 20))
    return _GOOD(source, part)


decode.DECODERS["pyav"] = _harm


def clip_of(video: Video, clip: ClipConfig, decoder: str) -> decode.Clip:
    """The job that `prepare` gives to engines, in a process where these decoders are planted."""
    return real.clip_of(video, clip, decoder)


if __name__ == "__main__":  # the command line, with these decoders
    from idtd_cli.cli import app
    from idtd_cli.stages import prepare
    from tests.faults import planted

    prepare.clip_of = planted.clip_of  # type: ignore[attr-defined]
    app.main()
