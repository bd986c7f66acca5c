"""Small MP4s of several codecs, changed in any way, through the decoder and the processes that `idtd prepare` has."""

from __future__ import annotations

import re
import struct
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from idtd_cli.engines import local
from idtd_cli.engines.engine import Rejected
from idtd_cli.video import decode, encode
from idtd_cli.video.medium import File, Medium, Member
from tests.fuzz.mutation import Mutator
from tests.fuzz.watching import cases, told
from tests.video.making import every_frame, make

#: Name → ffmpeg options, of files beside those that idtd's own encoder makes.
_FORMS = {
    "h264.mp4": "-c:v libx264 -bf 2 -g 8 -pix_fmt yuv420p",
    "fragments.mp4": "-c:v libx264 -g 4 -pix_fmt yuv420p -movflags frag_keyframe+empty_moov",
    "hevc.mp4": "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=1 -pix_fmt yuv420p",
    "mpeg4.mp4": "-c:v mpeg4 -bf 1 -q:v 4",
    "vp9.mp4": "-c:v libvpx-vp9 -deadline realtime -cpu-used 8",
    "mjpeg.mov": "-c:v mjpeg -q:v 5",
}
_FRAMES = 12
#: Boxes of an MP4 that hold boxes.
_HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"moof", b"traf", b"mvex", b"udta")
_WORDS = (0, 1, 2, 7, 8, 255, 2**16, 2**20, 2**31 - 1, 2**31, 2**32 - 1, 2**32 - 8)


def originals(folder: Path) -> list[bytes]:
    paths = [make(folder / name, options, frames=_FRAMES) for name, options in _FORMS.items()]
    frames_THW3 = np.random.default_rng(0).integers(0, 256, (_FRAMES, 48, 64, 3), dtype=np.uint8)
    encode.write_lossless(folder / "lossless.mp4", frames_THW3[:, ::8, ::8].repeat(8, 1).repeat(8, 2), 8)
    encode.write_viewable(folder / "viewable.mp4", frames_THW3[:, ::8, ::8], 8)
    return [path.read_bytes() for path in (*paths, folder / "lossless.mp4", folder / "viewable.mp4")]


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """Where each box begins and ends, and its kind; those within one follow it."""
    at = start
    while at + 8 <= end:
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if not 8 <= size <= end - at:
            return
        yield at, at + size, kind
        if kind in _HOLDERS:
            yield from boxes(data, at + 8, at + size)
        at += size


def changed(mutator: Mutator, data: bytes) -> bytes:
    """With a box that is gone, moved, doubled, of another kind or size, or with another number in it."""
    draw = mutator.random
    found = [*boxes(data, 0, len(data))]
    if not found:
        return mutator.spoilt(data)
    start, end, _kind = draw.choice([box for box in found if box[2] != b"mdat"] or found)
    match draw.randrange(9):
        case 0:
            return data[:start] + data[end:]
        case 1:
            return data[:end] + data[start:end] + data[end:]
        case 2:
            other, behind, _ = draw.choice(found)
            return data[:start] + data[other:behind] + data[end:]
        case 3:
            return (
                data[: start + 4]
                + draw.choice((draw.choice(found)[2], b"free", b"mdat", b"moov", b"dref"))
                + data[start + 8 :]
            )
        case 4:
            size = draw.choice((*_WORDS, end - start + draw.choice((-8, -1, 1, 8))))
            return data[:start] + struct.pack(">I", size % 2**32) + data[start + 4 :]
        case _ if end - start >= 16:
            # Counts, sizes, places and times are words of four bytes.
            place = draw.randrange(start + 8, end - 3)
            place -= (place - start) % 4
            return data[:place] + struct.pack(">I", draw.choice(_WORDS)) + data[place + 4 :]
        case _:
            return mutator.spoilt(data)


def mutants(good: list[bytes], count: int) -> Iterator[bytes]:
    mutator = Mutator(0)
    for number in range(count):
        data = good[number % len(good)]
        for _ in range(mutator.random.choice((1, 1, 2, 4))):
            way = mutator.random.choices((changed, Mutator.flipped, Mutator.spoilt), (6, 3, 1))[0]
            data = way(mutator, data)
        yield data


@pytest.mark.slow
@pytest.mark.parametrize(("decoder", "count"), [("pyav", 2200), ("decord", 400)])
def test_videos(tmp_path: Path, decoder: str, count: int) -> None:
    if decoder == "decord":
        pytest.importorskip("decord")
    (tmp_path / "good").mkdir()
    good = originals(tmp_path / "good")
    clip = every_frame(8, min_frames=4)
    media: list[Medium] = []
    for number, data in enumerate((*good, *mutants(good, cases(count)))):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(data)
        # Every fifth as a member of a tar is read, through an open file.
        media.append(Member(path, 0, len(data)) if number % 5 == 4 else File(path))
    before = sorted(tmp_path.rglob("*"))
    began = time.perf_counter()
    results = list(
        local.run(partial(decode.decode, clip=clip, decoder=decoder), media, workers=1, seconds=30, memory_mb=1024)
    )

    clips = sum(isinstance(result, decode.Clip) for result in results)
    reasons = Counter(re.sub(r"\d+", "N", r.reason).split("(")[0].strip() for r in results if isinstance(r, Rejected))
    told(len(media), time.perf_counter() - began, f"{clips} clips, {sum(reasons.values())} rejected")
    assert len(results) == len(media)
    assert all(isinstance(result, decode.Clip) for result in results[: len(good)])
    for medium, result in zip(media, results, strict=True):
        if isinstance(result, decode.Clip):
            assert result.clip_F3HW.shape == (8, 3, 32, 32), medium
        else:
            assert isinstance(result, Rejected), medium
            assert re.match(r"(is|has|holds|uses|cannot|needs|crashed|took) ", result.reason), (medium, result.reason)
            assert "Error" not in result.reason, (medium, result.reason)
    assert clips > len(media) / 10
    assert sum(reasons.values()) > len(media) / 10
    assert sorted(tmp_path.rglob("*")) == before


def frames_of(data: bytes, max_bytes: int) -> int:
    return len(decode.read_exact(data, max_bytes))


@pytest.mark.slow
def test_clips_of_a_distilled_set(tmp_path: Path) -> None:
    """What `idtd verify` and `load` decode in their own process: here in one that may crash, which is counted."""
    originals(tmp_path)
    good = (tmp_path / "lossless.mp4").read_bytes()
    job = partial(frames_of, max_bytes=_FRAMES * 3 * 48 * 64)
    results = list(local.run(job, [good, *mutants([good], cases(500))], workers=1, seconds=30, memory_mb=256))
    reasons = [result.reason for result in results if isinstance(result, Rejected)]
    assert results[0] == _FRAMES
    assert 50 < len(reasons) < len(results) - 50
    assert [reason for reason in reasons if not reason.startswith("The video ")] == []  # nor did any crash
