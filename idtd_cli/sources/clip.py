"""A video of a source → one stored clip. The job that engines run, and so a module that is quick to load."""

from __future__ import annotations

from idtd_cli.recipe import ClipConfig
from idtd_cli.sources.source import Video
from idtd_cli.video import decode


def clip_of(video: Video, clip: ClipConfig, decoder: str) -> decode.Clip:
    """Decode the part of a file that is the video.

    Raises:
        DecodeError: it gives no clip; it carries the reason.
    """
    return decode.decode(video.medium, clip, decoder=decoder, video_id=video.id, start=video.start, end=video.end)
