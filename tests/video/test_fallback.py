from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from idtd_cli.video import decode
from idtd_cli.video.medium import File
from tests.video.making import differences, every_frame, make, reference, spoil

needs_decord = pytest.mark.skipif(importlib.util.find_spec("decord") is None, reason="decord is not installed")


def refuse(source: object, part: object) -> Any:
    raise decode._RefusedError("uses a codec that cannot be decoded")


@needs_decord
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("av1.mkv", "-c:v libsvtav1 -preset 12 -svtav1-params keyint=20 -pix_fmt yuv420p"),
        ("raw.h264", "-c:v libx264 -bf 2 -pix_fmt yuv420p"),
        ("stream.ts", "-c:v libx264 -pix_fmt yuv420p"),
    ],
)
def test_what_decord_refuses_is_read_by_pyav(tmp_path: Path, name: str, options: str) -> None:
    path = make(tmp_path / name, options, frames=20)
    clip = decode.decode(File(path), every_frame(20), decoder="decord")
    assert (clip.decoder, clip.frames) == ("pyav", 20)
    assert differences(clip.clip_F3HW, reference(path, 32, 32)).max() < 4


@needs_decord
def test_what_pyav_refuses_is_read_by_decord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "v.mp4")
    monkeypatch.setitem(decode.DECODERS, "pyav", refuse)
    clip = decode.decode(File(path), every_frame(40))
    assert (clip.decoder, clip.frames) == ("decord", 40)
    assert differences(clip.clip_F3HW, reference(path, 32, 32)).max() < 4


def test_without_decord_there_is_nothing_to_fall_back_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "v.mp4")
    monkeypatch.setitem(decode.DECODERS, "pyav", refuse)
    monkeypatch.setitem(decode._PACKAGES, "decord", "a_package_that_is_not_there")
    with pytest.raises(decode.DecodeError, match="uses a codec that cannot be decoded"):
        decode.decode(File(path), every_frame(40))


def test_a_codec_that_neither_knows(tmp_path: Path) -> None:
    path = make(tmp_path / "v.avi", "-c:v mpeg4 -vtag XVID")
    path.write_bytes(path.read_bytes().replace(b"XVID", b"ZZZZ").replace(b"xvid", b"ZZZZ"))
    with pytest.raises(decode.DecodeError, match="uses a codec that cannot be decoded"):
        decode.decode(File(path), every_frame(40))


@pytest.mark.parametrize("decoder", ["pyav", pytest.param("decord", marks=needs_decord)])
def test_a_damaged_file_does_not_slip_through_a_decoder_that_looks_less_closely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder: str
) -> None:
    path = spoil(make(tmp_path / "v.mp4", "-c:v mpeg4 -q:v 2 -g 1", frames=100), 0.2, 0.5)
    if decoder == "pyav":
        monkeypatch.setitem(decode.DECODERS, "decord", lambda source, part: pytest.fail("decord was tried"))
    with pytest.raises(decode.DecodeError, match="is damaged"):
        decode.decode(File(path), every_frame(16), decoder=decoder)


@needs_decord
def test_pyav_is_asked_first_whoever_decodes(tmp_path: Path) -> None:
    """decord opens playlists, and what they name."""
    make(tmp_path / "other.ts", "-c:v libx264")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(decode.DecodeError, match="is no video file"):
        decode.decode(File(tmp_path / "list.mp4"), every_frame(8), decoder="decord")
