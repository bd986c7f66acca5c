from __future__ import annotations

import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from idtd_cli.errors import IdtdError
from idtd_cli.recipe import ClipConfig
from idtd_cli.video import decode, encode
from idtd_cli.video.medium import File
from tests.video.making import differences, every_frame, ffmpeg, make, make_packed, reference, shared_data

needs_decord = pytest.mark.skipif(importlib.util.find_spec("decord") is None, reason="decord is not installed")
decoders = pytest.mark.parametrize("decoder", ["pyav", pytest.param("decord", marks=needs_decord)])

#: Name → ffmpeg options. Each is something that decoders get wrong.
FORMS = {
    "b_frames.avi": "-c:v mpeg4 -bf 2 -g 20 -q:v 2",
    "b_frames.mp4": "-c:v libx264 -bf 3 -g 20 -pix_fmt yuv420p",
    "open_gop.mp4": "-c:v libx264 -x264-params open-gop=1:keyint=15 -bf 3 -pix_fmt yuv420p",
    "hevc.mp4": "-c:v libx265 -x265-params keyint=15:log-level=none -pix_fmt yuv420p",
    "no_count.mkv": "-c:v libx264 -pix_fmt yuv420p",
    "stream.ts": "-c:v libx264 -pix_fmt yuv420p -g 20",
    "vp9.webm": "-c:v libvpx-vp9 -pix_fmt yuv420p -deadline realtime -cpu-used 8",
    "ten_bit.mp4": "-c:v libx264 -pix_fmt yuv420p10le",
    "grey.mp4": "-c:v libx264 -pix_fmt gray",
    "full_range.mp4": "-c:v libx264 -pix_fmt yuvj420p",
    "hd_matrix.mp4": "-vf scale=out_color_matrix=bt709 -colorspace bt709 -c:v libx264 -pix_fmt yuv420p",
    "variable_rate.mp4": "-vf select=not(eq(mod(n\\,7)\\,3)) -fps_mode vfr -c:v libx264 -pix_fmt yuv420p",
    "program.mpg": "-c:v mpeg2video -bf 2 -q:v 2",
    "windows.wmv": "-c:v wmv2 -q:v 2 -g 20",
    "flash.flv": "-c:v flv -q:v 2 -g 20",
    "pictures.avi": "-c:v mjpeg -q:v 2",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_frame_is_the_one_that_ffmpeg_decodes(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, FORMS[name])
    expected = reference(path, 32, 32)
    clip = decode.decode(File(path), every_frame(len(expected)))
    assert clip.frames == len(expected)
    assert clip.clip_F3HW.flags.c_contiguous
    # Where colour is sited within a pixel is read differently; a frame off by one differs far more.
    assert differences(clip.clip_F3HW, expected).max() < 4
    assert differences(clip.clip_F3HW[1:], expected[:-1]).min() > 6


def test_the_filter_is_what_pyav_calls_it() -> None:
    names = ("AREA", "ACCURATE_RND", "FULL_CHR_H_INT", "BITEXACT")
    if not hasattr(Interpolation, "BITEXACT"):
        pytest.skip("this PyAV has no names for it")
    assert sum(Interpolation[name].value for name in names) == decode._FILTER


@needs_decord
@pytest.mark.parametrize("name", FORMS)
def test_decord_read_in_order_gives_the_same_frames(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, FORMS[name])
    ours = decode.decode(File(path), every_frame(40))
    theirs = decode.decode(File(path), every_frame(40), decoder="decord")
    # Most of the frames that decord gives of a transport stream are others.
    assert (ours.decoder, theirs.decoder) == ("pyav", "pyav" if name == "stream.ts" else "decord")
    assert ours.frames == theirs.frames
    assert differences(ours.clip_F3HW, theirs.clip_F3HW).max() < 4


@decoders
def test_frames_packed_into_one_packet(tmp_path: Path, decoder: str) -> None:
    path = make_packed(tmp_path / "packed.avi")
    expected = reference(path, 32, 32)
    clip = decode.decode(File(path), every_frame(40), decoder=decoder)
    assert (clip.frames, clip.decoder) == (40, decoder)
    assert differences(clip.clip_F3HW, expected).max() < 4
    assert differences(clip.clip_F3HW[1:], expected[:-1]).min() > 6


@needs_decord
def test_decord_returns_wrong_frames_when_it_seeks(tmp_path: Path) -> None:
    """Why decord is read in order here (docs/decisions/0001-decoder.md)."""
    import decord

    path = make(tmp_path / "b.avi", "-c:v mpeg4 -bf 2 -g 50 -q:v 2", frames=100)
    expected = reference(path, 48, 64).transpose(0, 2, 3, 1)
    picks = [(2 * part + 1) * 100 // 32 for part in range(16)]
    seeking = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1).get_batch(picks).asnumpy()
    in_order = decode.decode(File(path), every_frame(100), decoder="decord").clip_F3HW
    assert differences(seeking, expected[picks]).max() > 6
    assert differences(in_order, reference(path, 32, 32)).max() < 4


@decoders
@pytest.mark.parametrize("angle", [90, 180, 270])
def test_rotation_is_applied(tmp_path: Path, decoder: str, angle: int) -> None:
    plain = make(tmp_path / "plain.mp4")
    path = tmp_path / "phone.mp4"
    ffmpeg("-display_rotation", str(angle), "-i", str(plain), "-c", "copy", str(path))
    clip = decode.decode(File(path), every_frame(40), decoder=decoder)
    assert (clip.width, clip.height) == ((64, 48) if angle == 180 else (48, 64))
    assert differences(clip.clip_F3HW, reference(path, 32, 32)).max() < 4


@decoders
@pytest.mark.parametrize("size", ["63x47", "65x33", "16x16", "200x20"])
def test_odd_sizes(tmp_path: Path, decoder: str, size: str) -> None:
    path = make(tmp_path / "odd.mp4", "-c:v libx264 -pix_fmt yuv444p", size=size, frames=10)
    clip = decode.decode(File(path), every_frame(10, height=20, width=12), decoder=decoder)
    assert clip.clip_F3HW.shape == (10, 3, 20, 12)
    assert f"{clip.width}x{clip.height}" == size
    assert differences(clip.clip_F3HW, reference(path, 20, 12)).max() < 4


def test_crop_keeps_the_ratio_and_takes_the_centre(tmp_path: Path) -> None:
    frames = np.zeros((8, 40, 120, 3), np.uint8)
    frames[:, :, 40:80] = 255  # white centre third
    encode.write_lossless(tmp_path / "wide.mp4", frames, 25)
    crop = decode.decode(File(tmp_path / "wide.mp4"), every_frame(8, size=20, resize="crop")).clip_F3HW
    stretch = decode.decode(File(tmp_path / "wide.mp4"), every_frame(8, size=20)).clip_F3HW
    assert (crop == 255).all()
    assert 0.28 < (stretch > 127).mean() < 0.4


def test_a_frame_size_that_changes_is_fitted(tmp_path: Path) -> None:
    for name, size in (("a", "64x48"), ("b", "96x96")):
        make(tmp_path / f"{name}.ts", "-c:v mpeg2video -q:v 2", size=size, frames=10)
    both = tmp_path / "both.ts"
    both.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    clip = decode.decode(File(both), every_frame(20))
    assert clip.frames >= 18  # the join itself may cost a frame
    assert clip.clip_F3HW.shape == (20, 3, 32, 32)


def test_too_oblong_to_crop_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "strip.mp4", size="800x16", frames=8)
    with pytest.raises(decode.DecodeError, match="too oblong"):
        decode.decode(File(path), every_frame(8, resize="crop"))
    assert decode.decode(File(path), every_frame(8)).frames == 8


def test_a_wrong_declared_count_is_planned_again(tmp_path: Path) -> None:
    """The header of an AVI says 40 frames; the file is cut off before."""
    path = make(tmp_path / "cut.avi", "-c:v mpeg4 -q:v 2 -g 1", size="192x128")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    expected = reference(path, 32, 32)
    with av.open(str(path)) as container:
        declared = container.streams.video[0].frames
    clip = decode.decode(File(path), every_frame(8))
    assert declared == 40
    assert clip.frames == len(expected) < 30
    picks = [(2 * part + 1) * clip.frames // 16 for part in range(8)]
    assert differences(clip.clip_F3HW, expected[picks]).max() < 4
    assert (clip.first, clip.last) == (picks[0], picks[-1])


def test_a_truncated_mp4_becomes_shorter(tmp_path: Path) -> None:
    path = make(tmp_path / "cut.mp4", "-c:v libx264 -pix_fmt yuv420p -movflags +faststart -g 5")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.8)])
    assert 8 <= decode.decode(File(path), every_frame(16)).frames < 40


def test_facts(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4")
    clip = decode.decode(File(path), every_frame(8))
    assert (clip.frames, clip.fps, clip.width, clip.height, clip.first, clip.last) == (40, 25.0, 64, 48, 2, 37)
    assert (clip.seconds, clip.decoder) == (1.6, "pyav")


def test_decoding_twice_gives_the_same_pixels(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4")
    settings = every_frame(8, sampling="strided", stride=2)
    one, two = (decode.decode(File(path), settings, video_id="v") for _ in range(2))
    assert (one.clip_F3HW == two.clip_F3HW).all()


def _audio(path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", str(path))


def _no_moov(path: Path) -> None:
    make(path)
    path.write_bytes(path.read_bytes()[:1500])


def _noise_inside(path: Path) -> None:
    make(path, "-c:v libx264 -pix_fmt yuv420p -movflags +faststart -g 2")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 8
    data[start:] = np.random.default_rng(0).bytes(len(data) - start)
    path.write_bytes(data)


def _playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n")


def _concat_list(path: Path) -> None:
    make(path.with_name("other.mp4"))
    path.write_text("ffconcat version 1.0\nfile other.mp4\n")


@decoders
@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("absent.mp4", lambda path: None, r"cannot be read: No such file"),
        ("folder.mp4", lambda path: path.mkdir(), "is no file"),
        ("empty.mp4", lambda path: path.touch(), "is empty"),
        ("text.mp4", lambda path: path.write_text("hello\n" * 500), r"is no video file \(Invalid data"),
        ("random.avi", lambda path: path.write_bytes(np.random.default_rng(0).bytes(9000)), "is no video file"),
        ("no_moov.mp4", _no_moov, r"is no video file \(Invalid data"),
        ("audio.mp4", _audio, "holds no video"),
        ("one.mp4", lambda path: make(path, frames=1), r"has 1 frame; the recipe asks for at least 8 \(clip.min_fr"),
        ("short.mp4", lambda path: make(path, frames=3), r"has 3 frames; the recipe asks for at least 8"),
        ("noise.mp4", _noise_inside, "is damaged|cannot be decoded|has . frames?;"),
        ("playlist.mp4", _playlist, "is no video file"),
        ("list.mp4", _concat_list, "is no video file"),
    ],
)
def test_bad_files_give_a_reason(tmp_path: Path, decoder: str, name: str, write: object, reason: str) -> None:
    write(tmp_path / name)  # type: ignore[operator]
    with pytest.raises(decode.DecodeError, match=reason) as raised:
        decode.decode(File(tmp_path / name), every_frame(8, min_frames=8), decoder=decoder)
    assert "\n" not in raised.value.reason
    assert str(tmp_path) not in raised.value.reason


def test_a_glitch_is_lived_with_and_heavy_damage_is_not(tmp_path: Path) -> None:
    path = make(tmp_path / "v.avi", "-c:v mpeg4 -q:v 2 -g 1", frames=100)
    data = bytearray(path.read_bytes())
    frame = len(data) // 100
    light, heavy = bytearray(data), bytearray(data)
    light[frame * 50 : frame * 50 + frame // 2] = b"\0" * (frame // 2)
    for i in range(20, 80):
        heavy[frame * i : frame * i + frame // 2] = b"\0" * (frame // 2)
    path.write_bytes(light)
    assert decode.decode(File(path), every_frame(16)).frames >= 95
    path.write_bytes(heavy)
    with pytest.raises(decode.DecodeError, match="is damaged"):
        decode.decode(File(path), every_frame(16))


def test_read_exact_gives_all_frames_at_their_size(tmp_path: Path) -> None:
    frames: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (5, 33, 17, 3), dtype=np.uint8)
    path = tmp_path / "exact.mp4"
    encode.write_lossless(path, frames, 8)
    assert (decode.read_exact(path) == frames).all()
    assert (decode.read_exact(path.read_bytes()) == frames).all()
    with pytest.raises(IdtdError, match="needs more than 1000 bytes"):
        decode.read_exact(path, max_bytes=1000)
    with pytest.raises(IdtdError, match="is no video file"):
        decode.read_exact(b"not a video")
    with pytest.raises(IdtdError, match=r"missing\.mp4 is no video file \(No such file"):
        decode.read_exact(tmp_path / "missing.mp4")


def test_real_files_in_many_codecs() -> None:
    paths = [p for p in sorted(shared_data("decoder_samples").rglob("*")) if p.suffix in {".mp4", ".avi", ".mkv"}]
    assert len(paths) >= 10
    for path in paths:
        clip = decode.decode(File(path), ClipConfig(resize="stretch", stored_frames=16, height=64, width=64))
        expected = reference(path, 64, 64)
        picks = [(2 * part + 1) * clip.frames // 32 for part in range(16)]
        assert clip.frames == len(expected), path.name
        assert differences(clip.clip_F3HW, expected[picks]).max() < 6, path.name
