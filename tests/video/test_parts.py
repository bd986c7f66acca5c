from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from idtd_cli.video import decode
from idtd_cli.video.medium import File
from tests.video.making import differences, every_frame, make, reference, spoil

FORMS = {
    "v.mp4": "-c:v libx264 -bf 3 -g 20 -pix_fmt yuv420p",
    "v.avi": "-c:v mpeg4 -bf 2 -g 20 -q:v 2",
    "v.mkv": "-c:v libx264 -pix_fmt yuv420p",
    "v.ts": "-c:v libx264 -g 20 -pix_fmt yuv420p",
    "v.h264": "-c:v libx264 -bf 2 -pix_fmt yuv420p",
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize(
    ("start", "end", "first", "behind"),
    [(0.4, 1.2, 10, 30), (None, 0.6, 0, 15), (0.8, None, 20, 40), (1.0, 99.0, 25, 40), (0.41, 0.79, 11, 20)],
)
def test_a_part_holds_the_frames_shown_in_it(
    tmp_path: Path, name: str, start: float | None, end: float | None, first: int, behind: int
) -> None:
    path = make(tmp_path / name, FORMS[name])
    clip = decode.decode(File(path), every_frame(behind - first), start=start, end=end)
    assert (clip.frames, clip.first, clip.last) == (behind - first, 0, behind - first - 1)
    assert clip.seconds == pytest.approx((behind - first) / 25)
    assert differences(clip.clip_F3HW, reference(path, 32, 32)[first:behind]).max() < 4


def test_times_count_where_frames_are_shown_unequally_long(tmp_path: Path) -> None:
    options = "-vf select=not(between(n\\,10\\,19)) -fps_mode vfr -c:v libx264 -pix_fmt yuv420p"
    path = make(tmp_path / "v.mp4", options)  # of the frames 0 to 39, 10 to 19 are left out, and their time is not
    clip = decode.decode(File(path), every_frame(15), start=0.2, end=1.2)
    assert clip.frames == 15
    assert differences(clip.clip_F3HW, reference(path, 32, 32)[5:20]).max() < 4


def test_what_lies_behind_a_part_is_not_read(tmp_path: Path) -> None:
    path = spoil(make(tmp_path / "v.mp4", "-c:v mpeg4 -q:v 2 -g 1", frames=100), 0.5, 0.9)
    with pytest.raises(decode.DecodeError, match="is damaged"):
        decode.decode(File(path), every_frame(8))
    assert decode.decode(File(path), every_frame(8), end=1.6).frames == 40


def test_damage_before_the_end_of_a_part_counts(tmp_path: Path) -> None:
    path = spoil(make(tmp_path / "v.mp4", "-c:v mpeg4 -q:v 2 -g 1", frames=100), 0.1, 0.3)
    with pytest.raises(decode.DecodeError, match="is damaged"):
        decode.decode(File(path), every_frame(8), end=1.6)


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (5.0, 9.0, r"ends at second 1.56, before its part begins \(second 5\)"),
        (5.0, None, r"ends at second 1.56, before its part begins \(second 5\)"),
        (0.41, 0.43, "has no frame between the seconds 0.41 and 0.43"),
        (1.0, 1.2, r"has 5 frames; the recipe asks for at least 8"),
    ],
)
def test_a_part_that_gives_no_clip(tmp_path: Path, start: float, end: float | None, reason: str) -> None:
    path = make(tmp_path / "v.mp4")
    with pytest.raises(decode.DecodeError, match=reason):
        decode.decode(File(path), every_frame(8, min_frames=8), start=start, end=end)


@pytest.mark.skipif(importlib.util.find_spec("decord") is None, reason="decord is not installed")
def test_parts_are_read_by_pyav(tmp_path: Path) -> None:
    path = make(tmp_path / "v.mp4")
    ours, theirs = (decode.decode(File(path), every_frame(8), decoder=d, end=0.8) for d in ("pyav", "decord"))
    assert theirs.decoder == "pyav"
    assert (ours.clip_F3HW == theirs.clip_F3HW).all()
