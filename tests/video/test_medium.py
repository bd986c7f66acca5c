from __future__ import annotations

import importlib.util
import io
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from idtd_cli.video import decode
from idtd_cli.video.medium import Address, File, Member, Stills
from tests.video.making import differences, every_frame, make, shared_data

needs_decord = pytest.mark.skipif(importlib.util.find_spec("decord") is None, reason="decord is not installed")
decoders = pytest.mark.parametrize("decoder", ["pyav", pytest.param("decord", marks=needs_decord)])


def pack(tar: Path, *paths: Path) -> dict[str, Member]:
    with tarfile.open(tar, "w") as file:
        for path in paths:
            file.add(path, path.name)
    with tarfile.open(tar) as file:
        return {info.name: Member(tar, info.offset_data, info.size) for info in file}


@decoders
def test_a_member_of_a_tar_is_as_the_file(tmp_path: Path, decoder: str) -> None:
    names = {
        "a.mp4": "-c:v libx264",
        "b.avi": "-c:v mpeg4 -bf 2",
        "c.mkv": "-c:v libx264",
        "d.ts": "-c:v libx264 -g 20",
    }
    paths = [make(tmp_path / name, options) for name, options in names.items()]
    members = pack(tmp_path / "all.tar", *paths)
    for path in paths:
        plain = decode.decode(File(path), every_frame(20), decoder=decoder)
        clip = decode.decode(members[path.name], every_frame(20), decoder=decoder)
        assert (clip.clip_F3HW == plain.clip_F3HW).all()
        assert (clip.frames, clip.fps, clip.decoder) == (plain.frames, plain.fps, plain.decoder)


def test_a_part_of_a_member(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4")
    member = pack(tmp_path / "a.tar", path)["a.mp4"]
    clip = decode.decode(member, every_frame(10), start=0.4, end=0.8)
    assert (clip.clip_F3HW == decode.decode(File(path), every_frame(10), start=0.4, end=0.8).clip_F3HW).all()


def test_a_member_ends_where_it_ends(tmp_path: Path) -> None:
    data = np.random.default_rng(0).bytes(5000)
    (tmp_path / "x").write_bytes(data)
    window = Member(tmp_path / "x", 1000, 3000).open()
    plain = io.BytesIO(data[1000:4000])
    assert (window.readable(), window.seekable(), window.writable()) == (True, True, False)
    rng = np.random.default_rng(1)
    for _ in range(300):
        whence = int(rng.integers(3))
        offset = int(rng.integers(0, 4000)) - (0, 0, 3000)[whence]
        assert window.seek(offset, whence) == plain.seek(offset, whence)
        size = int(rng.integers(0, 2000))
        assert window.read(size) == plain.read(size)
        assert window.tell() == plain.tell()
    window.seek(0)
    assert window.read() == plain.getvalue()
    with pytest.raises(ValueError, match="before the start"):
        window.seek(-1)
    window.close()
    assert window.closed


def test_members_that_give_no_clip(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4")
    member = pack(tmp_path / "a.tar", path)["a.mp4"]
    cases = {
        "is empty": Member(member.tar, member.offset, 0),
        "is no video file": Member(member.tar, member.offset + 100, member.bytes),
        "cannot be read: No such file": Member(tmp_path / "gone.tar", 0, 10),
        "is no file": Member(tmp_path, 0, 10),
    }
    for reason, broken in cases.items():
        with pytest.raises(decode.DecodeError, match=reason):
            decode.decode(broken, every_frame(8))


def draw(folder: Path, names: list[str], size: tuple[int, int] = (40, 30), **options: Any) -> Stills:
    """Pictures of one grey each, a little lighter from one to the next."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", size, (40 + 8 * number,) * 3).save(folder / name, **options)
    return Stills(folder)


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "png", "webp", "bmp"])
def test_stills_are_in_natural_order(tmp_path: Path, ending: str) -> None:
    stills = draw(tmp_path / "s", [f"frame{number}.{ending}" for number in range(1, 13)])
    (tmp_path / "s" / "notes.txt").write_text("no picture")
    (tmp_path / "s" / ".frame0.png").write_bytes(b"hidden")
    clip = decode.decode(stills, every_frame(12))
    assert (clip.frames, clip.first, clip.last, clip.width, clip.height) == (12, 0, 11, 40, 30)
    assert (clip.fps, clip.seconds, clip.decoder) == (0, 0, "pillow")
    assert np.abs(clip.clip_F3HW.mean(axis=(1, 2, 3)) - (40 + 8 * np.arange(12))).max() < 2


def test_stills_go_through_the_same_resize_as_videos(tmp_path: Path) -> None:
    path = make(tmp_path / "v.avi", "-c:v mjpeg -q:v 2", size="96x64")
    frames = decode.read_exact(path)
    (tmp_path / "s").mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "s" / f"{number:04d}.png")
    for resize in ("crop", "stretch"):
        ours = decode.decode(File(path), every_frame(16, resize=resize))
        stills = decode.decode(Stills(tmp_path / "s"), every_frame(16, resize=resize))
        assert (ours.first, ours.last) == (stills.first, stills.last)
        assert differences(ours.clip_F3HW, stills.clip_F3HW).max() < 2


def test_a_still_is_shown_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # taken sideways
    stills = draw(tmp_path / "s", [f"{number}.jpg" for number in range(8)], exif=exif)
    clip = decode.decode(stills, every_frame(8))
    assert (clip.width, clip.height) == (30, 40)


def _bomb(path: Path) -> None:
    """A PNG of few bytes that says it has 10,000 × 10,000 pixels."""
    size = struct.pack(">IIBBBBB", 10000, 10000, 8, 2, 0, 0, 0)
    chunks = [b"IHDR" + size, b"IDAT" + zlib.compress(b""), b"IEND"]
    bodies = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(bodies))


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_bomb, r"its picture f05.png cannot be read \(Image size"),
        (_half, r"its picture f05.png cannot be read"),
        (lambda path: path.write_text("hello"), r"its picture f05.png cannot be read \(of no known form\)"),
        (lambda path: path.write_bytes(b""), r"its picture f05.png cannot be read \(of no known form\)"),
    ],
)
def test_a_still_that_cannot_be_read(tmp_path: Path, spoil: Callable[[Path], object], reason: str) -> None:
    stills = draw(tmp_path / "s", [f"f{number:02d}.png" for number in range(10)])
    spoil(tmp_path / "s" / "f05.png")
    with pytest.raises(decode.DecodeError, match=reason) as raised:
        decode.decode(stills, every_frame(10))
    assert str(tmp_path) not in raised.value.reason


def test_folders_of_stills_that_give_no_clip(tmp_path: Path) -> None:
    with pytest.raises(decode.DecodeError, match="cannot be read: No such file"):
        decode.decode(Stills(tmp_path / "gone"), every_frame(8))
    with pytest.raises(decode.DecodeError, match="has 0 frames; the recipe asks for at least 8"):
        decode.decode(draw(tmp_path / "none", []), every_frame(8, min_frames=8))
    stills = draw(tmp_path / "few", ["1.png"])
    with pytest.raises(decode.DecodeError, match="has 1 frame; the recipe asks for at least 8"):
        decode.decode(stills, every_frame(8, min_frames=8))
    with pytest.raises(decode.DecodeError, match="which have no times"):
        decode.decode(stills, every_frame(1), start=1)


def test_optical_flow_beside_the_frames_is_no_part_of_the_video(tmp_path: Path) -> None:
    stills = draw(tmp_path / "s", [f"{series}_{i}.png" for series in ("flow_x", "flow_y", "img") for i in range(8)])
    with pytest.raises(decode.DecodeError, match=r"3 series of pictures \(flow_x_…, flow_y_…, img_…\); keep the one"):
        decode.decode(stills, every_frame(8))
    with pytest.raises(decode.DecodeError, match="series of pictures"):
        decode.decode(Stills(shared_data("decoder_samples") / "mmaction2" / "imgs"), every_frame(8))


@pytest.fixture
def memory() -> Any:
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


@decoders
def test_an_address_is_as_the_file(tmp_path: Path, memory: Any, decoder: str) -> None:
    path = make(tmp_path / "v.mp4")
    memory.pipe("/v.mp4", path.read_bytes())
    address = Address("memory://v.mp4", path.stat().st_size)
    clip = decode.decode(address, every_frame(20), decoder=decoder)
    assert clip.decoder == decoder
    assert (clip.clip_F3HW == decode.decode(File(path), every_frame(20), decoder=decoder).clip_F3HW).all()


def test_addresses_that_give_no_clip(tmp_path: Path, memory: Any) -> None:
    path = make(tmp_path / "v.mp4")
    memory.pipe("/text.mp4", b"hello" * 100)
    cases = {
        "memory://gone.mp4": "cannot be read",
        "memory://text.mp4": "is no video file",
        f"file://{path}": "must begin with one of http://",
        str(path): "must begin with one of",
        f"simplecache::file://{path}": "must begin with one of",
        f"memory://x::file://{path}": "must begin with one of",
    }
    for url, reason in cases.items():
        with pytest.raises(decode.DecodeError, match=reason) as raised:
            decode.decode(Address(url, 500), every_frame(8))
        assert "\n" not in raised.value.reason
    with pytest.raises(decode.DecodeError, match="is empty"):
        decode.decode(Address("memory://v.mp4", 0), every_frame(8))


def test_a_connection_that_breaks_is_no_shorter_video(tmp_path: Path, memory: Any) -> None:
    path = make(tmp_path / "v.avi", "-c:v mpeg4 -q:v 2")
    memory.pipe("/v.avi", path.read_bytes())

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > len(self.getvalue()) // 2:
                raise ConnectionError("the other side is gone")
            return super().read(size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Address, "open", lambda self: Broken(path.read_bytes()))
        with pytest.raises(decode.DecodeError, match=r"cannot be read \(the other side is gone\)"):
            decode.decode(Address("memory://v.avi", 500), every_frame(8))
