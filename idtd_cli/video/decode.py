"""Decoding: a video file becomes one stored clip, or a reason why not.

Every decoder here reads in order from the first frame: seeking gives wrong frames without an error for some codecs
(docs/decisions/0001-decoder.md). Files are hostile: only known video containers are opened, none may refer to another
file, and only the picked frames are kept, resized, so that memory does not grow with a video's length.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
import numpy as np
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.video import sample
from idtd_cli.video.medium import File, Medium

if TYPE_CHECKING:
    from idtd_cli.recipe import ClipConfig

Frames = NDArray[np.uint8]

#: The containers that are opened, by FFmpeg's names. Playlists and lists of files (hls, dash, concat), which could make
#: FFmpeg open other files or addresses, are not among them.
CONTAINERS = "mov,mp4,avi,matroska,webm,mpeg,mpegts,mpegvideo,asf,flv,gif,ogg,h264,hevc,m4v,ivf,obu,mxf,dv,rm,nut,swf"
#: A file with a larger share of broken packets and frames than this is damaged. Below, a glitch is lived with, and so
#: is the one broken packet at the end of a file that was cut off.
_DAMAGE = 0.1
#: Frames more oblong than this would need more memory to crop than they are worth.
_OBLONG = 20

# swscale's area filter averages all the pixels that a target pixel covers: no aliasing when shrinking.
_FILTER = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT


class DecodeError(Exception):
    """A file that gives no clip. `reason` goes on after the file's name: "holds no video"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Clip:
    """A stored clip and what is known of its video."""

    clip_F3HW: Frames
    frames: int  #: frames that the whole video really has
    first: int  #: index of the first stored frame
    last: int  #: index of the last stored frame
    fps: float  #: average frames a second; 0 if the file does not say
    width: int  #: pixels of the video as it is shown, that is after rotation
    height: int


def decode(
    medium: Medium,
    clip: ClipConfig,
    *,
    decoder: str = "pyav",
    video_id: str = "",
    start: float | None = None,
    end: float | None = None,
) -> Clip:
    """Decode a video into a stored clip.

    Args:
        medium: where the video's bytes are.
        clip: which frames to store and at what size; pixels are taken as square.
        decoder: a key of `DECODERS`.
        video_id: decides the start of `sampling: strided`.
        start: seconds; what is before it is no part of the video.
        end: seconds; what is from it on is no part of the video.

    Returns:
        the clip, (F, 3, H, W) uint8 RGB, with the facts of its video.

    Raises:
        DecodeError: the file gives no clip; it carries the reason.
        MemoryError: a frame does not fit into memory.
    """
    if not isinstance(medium, File) or start is not None or end is not None:
        raise NotImplementedError
    path = medium.path
    _check_file(path)
    declared, fps = _declared(path)
    guess = max(1, declared)
    # A declared frame count is a guess. When reading ends elsewhere, the frames are planned again with the true count.
    for _ in range(3):
        picks_F = sample.indices(guess, clip, video_id)
        reading = _read(path, decoder, set(picks_F.tolist()), clip)
        if reading.frames < clip.min_frames:
            count = "1 frame" if reading.frames == 1 else f"{reading.frames} frames"
            raise DecodeError(f"has {count}; the recipe asks for at least {clip.min_frames} (clip.min_frames)")
        if reading.frames == guess:
            return Clip(
                clip_F3HW=np.stack([reading.kept[pick] for pick in picks_F.tolist()]).transpose(0, 3, 1, 2).copy(),
                frames=reading.frames,
                first=int(picks_F[0]),
                last=int(picks_F[-1]),
                fps=fps,
                width=reading.width,
                height=reading.height,
            )
        guess = reading.frames
    raise DecodeError("is damaged: each reading gives another number of frames")


def read_exact(source: Path | bytes, max_bytes: int = 1 << 30) -> Frames:
    """All frames of a video at their own size: (T, H, W, 3) uint8 RGB. What `encode.write_lossless` wrote comes back.

    Raises:
        IdtdError: it is no readable video, its frames differ in size, or they need more than `max_bytes`.
    """
    name = str(source) if isinstance(source, Path) else "The video"
    frames: list[Frames] = []
    try:
        for picture in _pyav(source):
            frames.append(_upright(picture().to_ndarray(format="rgb24", threads=1), picture()))
            if frames[-1].nbytes * len(frames) > max_bytes:
                raise DecodeError(f"needs more than {max_bytes >> 20} MiB of memory")
            if frames[-1].shape != frames[0].shape:
                raise DecodeError("changes its frame size")
    except DecodeError as error:
        raise IdtdError(f"{name} {error.reason}.") from error
    return np.stack(frames)


def version(decoder: str) -> str:
    """Version of the package behind a decoder, as prepared sets record it.

    Raises:
        InputError: the package is not installed.
    """
    package = {"pyav": "av", "decord": "decord"}[decoder]
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError as error:
        raise InputError(f"The decoder {decoder} is not installed.", "Use decode.decoder=pyav.") from error


@dataclass
class _Reading:
    """What one pass over a video gave."""

    kept: dict[int, Frames]
    frames: int = 0
    width: int = 0
    height: int = 0


def _read(path: Path, decoder: str, wanted: set[int], clip: ClipConfig) -> _Reading:
    """One pass over a video in order, keeping the wanted frames, each resized to HW3."""
    reading = _Reading(kept={})
    reformatter = VideoReformatter()
    for picture in DECODERS[decoder](path):
        if reading.frames == 0:
            first = picture()
            sides = first.width, first.height
            reading.width, reading.height = sides if _turns(first) % 2 == 0 else sides[::-1]
        if reading.frames in wanted:
            reading.kept[reading.frames] = _resize(reformatter, picture(), clip)
        reading.frames += 1
    return reading


def _resize(reformatter: VideoReformatter, frame: VideoFrame, clip: ClipConfig) -> Frames:
    """A frame in RGB, upright, at the stored size: HW3. Colours follow the matrix and range that the frame names."""
    turned = _turns(frame) % 2 == 1
    height, width = (clip.width, clip.height) if turned else (clip.height, clip.width)
    high, wide = height, width
    if clip.resize == "crop":
        if max(frame.width, frame.height) > _OBLONG * min(frame.width, frame.height):
            raise DecodeError(f"has frames of {frame.width}×{frame.height} pixels, too oblong for clip.resize: crop")
        scale = max(height / frame.height, width / frame.width)
        high, wide = max(height, round(frame.height * scale)), max(width, round(frame.width * scale))
    try:
        scaled = reformatter.reformat(frame, wide, high, "rgb24", interpolation=_FILTER, threads=1)
    except (av.error.FFmpegError, ValueError) as error:
        _pass_memory_error(error)
        raise DecodeError(f"has frames of a form that cannot be turned into RGB ({_words(error)})") from error
    top, left = (high - height) // 2, (wide - width) // 2
    cropped_HW3 = scaled.to_ndarray()[top : top + height, left : left + width]
    upright_HW3: Frames = _upright(cropped_HW3, frame).copy()
    return upright_HW3  # a copy lets go of the part that was cropped away


def _turns(frame: VideoFrame) -> int:
    """Quarter turns, anticlockwise, that bring a frame upright: phones record sideways and say so."""
    return round(frame.rotation / 90) % 4


def _upright(image_HW3: NDArray[Any], frame: VideoFrame) -> Frames:
    upright_HW3: Frames = np.rot90(image_HW3, _turns(frame))
    return upright_HW3


# A decoder yields, for each frame in order, a function that gives the frame: most frames are counted, not converted.
_Pictures = Iterator[Callable[[], VideoFrame]]


def _pyav(source: Path | bytes) -> _Pictures:
    good, bad, reason = 0, 0, "no frames"
    with _open(source) as (container, stream):
        stream.thread_type = "NONE"  # parallel work is done by worker processes, one file each
        for packet in _packets(container, stream):
            try:
                frames = stream.decode(packet)
            except av.error.FFmpegError as error:
                _pass_memory_error(error)
                bad, reason = bad + 1, _words(error)
                continue
            for frame in frames:
                bad += frame.is_corrupt
                good += 1
                yield partial(_given, frame)
    if good == 0:
        raise DecodeError(f"is damaged: none of its frames can be decoded ({reason})")
    if bad > max(1, _DAMAGE * (good + bad)):
        raise DecodeError(f"is damaged: {bad} of its {good + bad} packets and frames are broken")


def _packets(container: Any, stream: Any) -> Iterator[Any]:
    """The packets of a stream, then None, which makes the decoder give what it still holds."""
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except av.error.FFmpegError as error:
        _pass_memory_error(error)  # else the file is cut off here: it is a shorter video
    except IndexError as error:  # PyAV knows the streams that a file begins with, and no later ones
        raise DecodeError("is damaged: a stream begins in its middle") from error
    yield None


def _decord(source: Path | bytes) -> _Pictures:
    import decord  # slow to load, and absent on some platforms
    from decord._ffi.base import DECORDLimitReachedError

    decord.logging.set_level(decord.logging.QUIET)
    with _open(source) as (container, _):
        if container.format.name == "mpegts":
            raise DecodeError("is an MPEG transport stream, which decord reads wrongly; use decode.decoder=pyav")
    path = str(source.absolute()) if isinstance(source, Path) else io.BytesIO(source)
    try:
        # Without a tolerance decord repeats frames in place of those that it cannot decode, and says nothing.
        reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=1, fault_tol=_DAMAGE)
        for _ in range(len(reader)):
            frame = reader.next()  # in order: get_batch seeks
            yield partial(_from_decord, frame)
    except StopIteration:
        return
    except DECORDLimitReachedError as error:
        raise DecodeError("is damaged: too many of its frames are broken") from error
    except (RuntimeError, decord.DECORDError) as error:
        # Its own words hold the time and addresses of memory: they would differ from run to run.
        raise DecodeError("cannot be decoded by decord; decode.decoder=pyav may do it") from error


def _given(frame: VideoFrame) -> VideoFrame:
    return frame


def _from_decord(frame: Any) -> VideoFrame:
    image_HWC = frame.asnumpy()
    height, width, channels = image_HWC.shape
    # decord takes the padding at the end of a narrow frame's rows for further channels.
    rows = image_HWC.reshape(height, width * channels)[:, : width * 3]
    return VideoFrame.from_ndarray(np.ascontiguousarray(rows).reshape(height, width, 3), format="rgb24")


#: Key in a recipe → decoder.
DECODERS: dict[str, Callable[[Path | bytes], _Pictures]] = {"pyav": _pyav, "decord": _decord}


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise DecodeError("is no file")  # a pipe or a device would block
    if status.st_size == 0:
        raise DecodeError("is empty")


def _declared(path: Path) -> tuple[int, float]:
    """The frame count that the container declares, else the number of its video packets; and frames a second."""
    with _open(path) as (container, stream):
        frames = stream.frames or sum(1 for packet in _packets(container, stream) if packet is not None)
        return frames, float(stream.average_rate or 0)


@contextmanager
def _open(source: Path | bytes) -> Iterator[tuple[Any, Any]]:
    """A container and its video stream.

    Raises:
        DecodeError: no video can be read from it.
    """
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    # An absolute path starts with no protocol, whatever the file is called.
    target = str(source.absolute()) if isinstance(source, Path) else io.BytesIO(source)
    try:
        container = av.open(target, options=options, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        _pass_memory_error(error)
        raise DecodeError(f"is no video file ({_words(error)})") from error
    with container:
        stream = container.streams.best("video")
        # Cover art is a video stream of one picture: not what is meant.
        if stream is None or stream.disposition & Disposition.attached_pic:
            raise DecodeError("holds no video")
        if stream.codec_context is None:
            raise DecodeError("uses a codec that cannot be decoded")
        yield container, stream


def _words(error: Exception) -> str:
    """What a library's error says, in one line, without its file names and stack."""
    text = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return text.strip().rstrip(".")[:200]


def _pass_memory_error(error: BaseException) -> None:
    """Out of memory is no damage of the file: the worker that set the limit reports it."""
    if isinstance(error, MemoryError):
        raise error
