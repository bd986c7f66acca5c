"""Decoding: a video, or a part of one, becomes one stored clip, or a reason why not.

Every decoder here reads in order from the first frame: seeking gives wrong frames without an error for some codecs
(docs/decisions/0001-decoder.md). A part is read so, too, and reading ends behind it. Files are hostile: PyAV opens each
first, whoever decodes it, and opens known video containers alone, of which none may refer to another file. Only the
picked frames are kept, resized, so that memory does not grow with a video's length.
"""

from __future__ import annotations

import importlib.util
import io
import math
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import av
import av.error
import numpy as np
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.video import sample
from idtd_cli.video.medium import Address, File, Medium, Member, Stills

if TYPE_CHECKING:
    from idtd_cli.recipe import ClipConfig

Frames = NDArray[np.uint8]

#: The containers that are opened, by FFmpeg's names. Playlists and lists of files (hls, dash, concat), which could make
#: FFmpeg open other files or addresses, are not among them.
CONTAINERS = "mov,mp4,avi,matroska,webm,mpeg,mpegts,mpegvideo,asf,flv,gif,ogg,h264,hevc,m4v,ivf,obu,mxf,dv,rm,nut,swf"
#: What decodes → its package.
_PACKAGES = {"pyav": "av", "decord": "decord", "pillow": "pillow"}
#: A file with a larger share of broken packets and frames than this is damaged. Below, a glitch is lived with, and so
#: is the one broken packet at the end of a file that was cut off.
_DAMAGE = 0.1
#: Pixels by which what a decoder holds of a small frame may be larger than the frame.
_PADDING = 1 << 20
_INT_MAX = 2**31 - 1
#: Frames more oblong than this would need more memory to crop than they are worth.
_OBLONG = 20

# swscale's area filter averages all the pixels that a target pixel covers: no aliasing when shrinking. PyAV names the
# flags beside it from 18.1 on, and Python 3.10 has PyAV 17.1: their numbers are those of FFmpeg's headers.
_ACCURATE_RND, _FULL_CHR_H_INT, _BITEXACT = 1 << 18, 1 << 13, 1 << 19
_FILTER = Interpolation.AREA.value | _ACCURATE_RND | _FULL_CHR_H_INT | _BITEXACT


class DecodeError(Exception):
    """A video that gives no clip. `reason` goes on after its name: "holds no video"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _RefusedError(DecodeError):
    """This decoder cannot read the file, and another one may. Never raised for a damaged file."""


@dataclass(frozen=True)
class Clip:
    """A stored clip and what is known of its video, or of the part of it that was asked for."""

    clip_F3HW: Frames
    frames: int  #: frames that it really has
    first: int  #: index of the first stored frame
    last: int  #: index of the last stored frame
    fps: float  #: average frames a second of the file; 0 if it does not say
    width: int  #: pixels of the video as it is shown, that is after rotation
    height: int
    decoder: str  #: the one that did it: a key of `DECODERS`, or pillow for stills

    @property
    def seconds(self) -> float:
        """How long it is: frames / fps, also where frames are shown for unequal times; 0 if the file does not say."""
        return self.frames / self.fps if self.fps else 0.0


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

    A file that `decoder` cannot read is tried by the other one. A damaged file is not: it must not slip through the
    decoder that looks less closely.

    Args:
        medium: where the video's bytes are.
        clip: which frames to store and at what size; pixels are taken as square.
        decoder: a key of `DECODERS`; stills are read by Pillow in any case, parts by PyAV.
        video_id: decides the start of `sampling: strided`.
        start: seconds from the first frame; frames shown before are no part of the video.
        end: seconds; frames shown from it on are no part of the video. It may lie behind the end of the file.

    Returns:
        the clip, (F, 3, H, W) uint8 RGB, with the facts of its video.

    Raises:
        DecodeError: the medium gives no clip; it carries the reason.
        MemoryError: a frame does not fit into memory.
    """
    part = _Part(-math.inf if start is None else start, math.inf if end is None else end)
    if isinstance(medium, Stills):
        return _decode_stills(medium, clip, video_id, part)
    refusals = []
    with _opened(medium) as source:
        for name in sorted(DECODERS, key=lambda name: name != decoder):
            if name != decoder and importlib.util.find_spec(_PACKAGES[name]) is None:
                continue
            try:
                return _decode_file(source, clip, name, video_id, part)
            except _RefusedError as error:
                refusals.append(error)
    raise refusals[0]


def _decode_file(source: _Source, clip: ClipConfig, decoder: str, video_id: str, part: _Part) -> Clip:
    expected, fps = _expected(source, part)
    # What a file declares is a guess. When reading ends elsewhere, the frames are planned again with the true count.
    for _ in range(3):
        picks_F = sample.indices(expected, clip, video_id)
        reading = _read(DECODERS[decoder](source, part), set(picks_F.tolist()), clip)
        _need_frames(reading.frames, clip)
        if reading.frames == expected:
            return _clip(reading, picks_F, fps, decoder)
        expected = reading.frames
    raise DecodeError("is damaged: each reading gives another number of frames")


def _decode_stills(stills: Stills, clip: ClipConfig, video_id: str, part: _Part) -> Clip:
    if part != _WHOLE:
        raise DecodeError("is a folder of pictures, which have no times: no part can be taken of it")
    try:
        paths = stills.pictures()
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror}") from error
    series = sorted(stills.series())
    if len(series) > 1:  # optical flow lies beside the frames in some sets
        names = ", ".join(f"{name}…" for name in series[:3])
        raise DecodeError(f"holds {len(series)} series of pictures ({names}); keep the one that is the video")
    _need_frames(len(paths), clip)
    picks_F = sample.indices(len(paths), clip, video_id)
    reading = _read((partial(_still, path) for path in paths), set(picks_F.tolist()), clip)
    return _clip(reading, picks_F, 0.0, "pillow")


def _need_frames(frames: int, clip: ClipConfig) -> None:
    if frames < clip.min_frames:
        count = "1 frame" if frames == 1 else f"{frames} frames"
        raise DecodeError(f"has {count}; the recipe asks for at least {clip.min_frames} (clip.min_frames)")


def _clip(reading: _Reading, picks_F: NDArray[np.int64], fps: float, decoder: str) -> Clip:
    return Clip(
        clip_F3HW=np.stack([reading.kept[pick] for pick in picks_F.tolist()]).transpose(0, 3, 1, 2).copy(),
        frames=reading.frames,
        first=int(picks_F.min()),
        last=int(picks_F.max()),
        fps=fps,
        width=reading.width,
        height=reading.height,
        decoder=decoder,
    )


def read_exact(source: Path | bytes, max_bytes: int = 1 << 30) -> Frames:
    """All frames of a video at their own size: (T, H, W, 3) uint8 RGB. What `encode.write_lossless` wrote comes back.

    Raises:
        IdtdError: it is no readable video, its frames differ in size, or they need more than `max_bytes`.
    """
    name = str(source) if isinstance(source, Path) else "The video"
    frames: list[Frames] = []
    try:
        opened = str(source.absolute()) if isinstance(source, Path) else io.BytesIO(source)
        for picture in _pyav(opened, _WHOLE, max_pixels=max_bytes // 3 + _PADDING):
            if 3 * picture().width * picture().height * (len(frames) + 1) > max_bytes:
                raise DecodeError(f"needs more than {max_bytes} bytes of memory")
            frames.append(_upright(picture().to_ndarray(format="rgb24", threads=1), picture()))
            if frames[-1].shape != frames[0].shape:
                raise DecodeError("changes its frame size")
    except DecodeError as error:
        raise IdtdError(f"{name} {error.reason}.", "Export or download the set again.") from error
    except MemoryError as error:  # a table in a container can claim to be larger than any memory
        raise IdtdError(f"{name} needs more memory than there is.", "Export or download the set again.") from error
    return np.stack(frames)


def versions(chosen: str) -> dict[str, str]:
    """Versions of the packages behind what decodes and is installed, as prepared sets record them.

    Raises:
        InputError: the chosen decoder is not among them.
    """
    found = {}
    for decoder, package in _PACKAGES.items():
        try:
            found[decoder] = metadata.version(package)
        except metadata.PackageNotFoundError as error:
            if decoder == chosen:
                raise InputError(
                    f"The decoder {decoder} is not installed.", "Use --set prepare.decode.decoder=pyav."
                ) from error
    return found


@dataclass(frozen=True)
class _Part:
    """The frames shown in start ≤ second < end, counted from the first frame."""

    start: float = -math.inf
    end: float = math.inf

    def frames(self, total: float, fps: float) -> int:
        """How many of `total` frames are its own, if all are shown equally long."""
        if self == _WHOLE or not fps:
            return int(total)
        return math.ceil(min(total, self.end * fps)) - math.ceil(max(0, self.start * fps))


_WHOLE = _Part()


@dataclass
class _Reading:
    """What one pass over a video, or over its part, gave."""

    kept: dict[int, Frames]
    frames: int = 0
    width: int = 0
    height: int = 0


def _read(pictures: _Pictures, wanted: set[int], clip: ClipConfig) -> _Reading:
    """One pass over a video in order, keeping the wanted frames, each resized to HW3."""
    reading = _Reading(kept={})
    reformatter = VideoReformatter()
    for picture in pictures:
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
#: An absolute path, or an open file that can be sought in.
_Source = str | BinaryIO


def _pyav(source: _Source, part: _Part, max_pixels: int | None = None) -> _Pictures:
    tally = _Tally()
    second, given = 0.0, 0
    origin: VideoFrame | None = None
    with _open(source, max_pixels) as (container, stream):
        fps = float(stream.average_rate or 0)
        for number, frame in enumerate(_frames(container, stream, tally)):
            if part != _WHOLE:
                origin = origin or frame
                second = _second(frame, origin, number, fps)
                if second >= part.end:
                    break
                if second < part.start:
                    continue
            given += 1
            yield partial(_itself, frame)
    tally.judge()
    if not given and second < part.start:
        raise DecodeError(f"ends at second {second:g}, before its part begins (second {part.start:g})")
    if not given:
        raise DecodeError(f"has no frame between the seconds {part.start:g} and {part.end:g}")


@dataclass
class _Tally:
    """How much of what was read of a file is broken."""

    good: int = 0
    bad: int = 0
    error: Exception | None = None

    def judge(self) -> None:
        if self.good == 0:
            reason = _words(self.error) if self.error else "no frames"
            if isinstance(self.error, av.error.PatchWelcomeError):  # FFmpeg's word for what it cannot do yet
                raise _RefusedError(f"uses a form of its codec that cannot be decoded ({reason})")
            raise DecodeError(f"is damaged: none of its frames can be decoded ({reason})")
        if self.bad > max(1, _DAMAGE * (self.good + self.bad)):
            raise DecodeError(f"is damaged: {self.bad} of its {self.good + self.bad} packets and frames are broken")


def _frames(container: Any, stream: Any, tally: _Tally) -> Iterator[VideoFrame]:
    """All frames that a file gives, in the order in which they are shown."""
    if stream.codec_context is None:
        raise _RefusedError("uses a codec that cannot be decoded")
    stream.thread_type = "NONE"  # parallel work is done by worker processes, one file each
    for packet in _packets(container, stream):
        try:
            frames = stream.decode(packet)
        except av.error.FFmpegError as error:
            _pass_memory_error(error)
            tally.bad, tally.error = tally.bad + 1, error
            continue
        for frame in frames:
            tally.bad += frame.is_corrupt
            tally.good += 1
            yield frame


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


def _second(frame: VideoFrame, origin: VideoFrame, number: int, fps: float) -> float:
    """When a frame is shown. Counted from the first frame, as containers begin at another time than zero."""
    if frame.pts is not None and origin.pts is not None and frame.time_base:
        return float((frame.pts - origin.pts) * frame.time_base)
    if not fps:
        raise DecodeError("does not say when its frames are shown: no part can be taken of it")
    return number / fps


def _decord(source: _Source, part: _Part) -> _Pictures:
    import decord  # slow to load, and absent on some platforms
    from decord._ffi.base import DECORDLimitReachedError

    decord.logging.set_level(decord.logging.QUIET)
    if part != _WHOLE:
        raise _RefusedError("cannot be read in part by decord")  # in order, it gives frames without their times
    with _open(source) as (container, _):
        if container.format.name == "mpegts":
            raise _RefusedError("is an MPEG transport stream, which decord reads wrongly")
    if not isinstance(source, str):
        source.seek(0)  # decord copies all of it into memory
    try:
        # Without a tolerance decord repeats frames in place of those that it cannot decode, and says nothing.
        reader = decord.VideoReader(source, ctx=decord.cpu(0), num_threads=1, fault_tol=_DAMAGE)
        for _ in range(len(reader)):
            frame = reader.next()  # in order: get_batch seeks
            yield partial(_from_decord, frame)
    except StopIteration:
        return
    except DECORDLimitReachedError as error:
        raise DecodeError("is damaged: too many of its frames are broken") from error
    except (RuntimeError, AssertionError, decord.DECORDError) as error:
        # Its own words hold the time and addresses of memory: they would differ from run to run.
        raise _RefusedError("cannot be decoded by decord") from error


def _itself(frame: VideoFrame) -> VideoFrame:
    return frame


def _from_decord(frame: Any) -> VideoFrame:
    image_HWC = frame.asnumpy()
    height, width, channels = image_HWC.shape
    # decord takes the padding at the end of a narrow frame's rows for further channels.
    rows = image_HWC.reshape(height, width * channels)[:, : width * 3]
    return VideoFrame.from_ndarray(np.ascontiguousarray(rows).reshape(height, width, 3), format="rgb24")


#: Key in a recipe → decoder.
DECODERS: dict[str, Callable[[_Source, _Part], _Pictures]] = {"pyav": _pyav, "decord": _decord}


def _still(path: Path) -> VideoFrame:
    """A picture in RGB, upright: what a camera says of its rotation is followed, as it is in videos."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("JPEG", "PNG", "WEBP", "BMP")) as image:
                return VideoFrame.from_ndarray(np.asarray(ImageOps.exif_transpose(image).convert("RGB")))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's readers fail in many ways on a broken file
        words = "of no known form" if isinstance(error, UnidentifiedImageError) else _words(error)
        raise DecodeError(f"is damaged: its picture {path.name} cannot be read ({words})") from error


@contextmanager
def _opened(medium: File | Member | Address) -> Iterator[_Source]:
    """What a decoder can open.

    Raises:
        DecodeError: there is no such file, or it cannot be read to its end.
    """
    if isinstance(medium, File):
        _check_file(medium.path)
        yield str(medium.path.absolute())  # an absolute path starts with no protocol, whatever the file is called
        return
    if isinstance(medium, Member):
        _check_file(medium.tar)
    if not medium.bytes:
        raise DecodeError("is empty")
    try:
        with medium.open() as file:
            yield file
    except (DecodeError, MemoryError):
        raise
    except Exception as error:  # each of fsspec's file systems fails in ways of its own
        raise DecodeError(f"cannot be read ({_words(error)})") from error


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise DecodeError(f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise DecodeError("is no file")  # a pipe or a device would block
    if status.st_size == 0:
        raise DecodeError("is empty")


def _expected(source: _Source, part: _Part) -> tuple[int, float]:
    """How many frames the part should have, at least one, going by what the file declares; and frames a second.

    Where it declares no number its packets are counted, unless the seconds of the part say enough: the rest of a long
    file is not read.
    """
    with _open(source) as (container, stream):
        fps = float(stream.average_rate or 0)
        total: float = stream.frames
        if not total:
            bounded = fps and part.end < math.inf
            total = math.inf if bounded else sum(packet is not None for packet in _packets(container, stream))
        return max(1, part.frames(total, fps)), fps


@contextmanager
def _open(source: _Source, max_pixels: int | None = None) -> Iterator[tuple[Any, Any]]:
    """A container and its video stream, of whose frames none has more than `max_pixels`.

    Raises:
        DecodeError: no video can be read from it.
    """
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file" if isinstance(source, str) else ""}
    if not isinstance(source, str):
        source.seek(0)
    # Told to FFmpeg, which holds a dozen frames before it gives the first one; for each of the first streams.
    within = {"max_pixels": str(min(max_pixels, _INT_MAX))} if max_pixels else {}
    more: dict[str, Any] = {"stream_options": [within] * 4} if within else {}
    try:
        container = av.open(source, options=options, metadata_errors="replace", **more)
    except (av.error.FFmpegError, ValueError) as error:  # an OSError is the open file's own, and no fault of its form
        _pass_memory_error(error)
        raise DecodeError(f"is no video file ({_words(error)})") from error
    with container:
        stream = container.streams.best("video")
        # Cover art is a video stream of one picture: not what is meant.
        if stream is None or stream.disposition & Disposition.attached_pic:
            raise DecodeError("holds no video")
        codec: Any = stream.codec_context
        if codec is not None and max_pixels:
            if codec.width * codec.height > max_pixels:
                raise DecodeError(f"has frames of more than {max_pixels} pixels")
            codec.options = dict(within)
        yield container, stream


def _words(error: Exception) -> str:
    """What a library's error says, in one line, without its file names and stack."""
    text = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return text.strip().rstrip(".")[:200]


def _pass_memory_error(error: BaseException) -> None:
    """Out of memory is no damage of the file: the worker that set the limit reports it."""
    if isinstance(error, MemoryError):
        raise error
