from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from idtd_cli.report import contact_sheet as module
from idtd_cli.report.contact_sheet import contact_sheet


def film(classes: int, frames: int, blue: int = 0) -> NDArray[np.uint8]:
    """Each frame of one colour: red names the class, green the frame."""
    video = np.full((classes, frames, 6, 6, 3), blue, dtype=np.uint8)
    video[..., 0] = np.arange(classes)[:, None, None, None]
    video[..., 1] = np.arange(frames)[:, None, None]
    return video


def cell(column: int, row: int, place: int) -> tuple[int, int]:
    """The middle of a cell."""
    strip = module._FRAMES * module._CELL + module._GAP
    left = module._NAME + column * strip + place * module._CELL
    return left + module._CELL // 2, module._HEAD + row * (module._CELL + 4) + module._CELL // 2


@pytest.mark.parametrize("frames", [1, 4, 8, 9, 16, 33])
def test_frames_are_spread_over_the_time_of_each_video(frames: int) -> None:
    sheet = contact_sheet(["a", "b"], {"real": film(2, frames), "IDTD": film(2, 16, blue=200)})
    for row in range(2):
        shown = [sheet.getpixel(cell(0, row, place)) for place in range(8)]
        times = [pixel[1] for pixel in shown]  # type: ignore[index]
        assert [pixel[0] for pixel in shown] == [row] * 8  # type: ignore[index]
        assert (times[0], times[-1]) == (0, frames - 1)
        assert times == sorted(times)
        assert len(set(times)) == min(8, frames)
        assert sheet.getpixel(cell(1, row, 7)) == (row, 15, 200)


@pytest.mark.parametrize(("classes", "columns"), [(1, 1), (3, 2), (12, 3)])
def test_size(classes: int, columns: int) -> None:
    names = [str(number) for number in range(classes)]
    sheet = contact_sheet(names, {str(c): film(classes, 8) for c in range(columns)})
    assert sheet.width == module._NAME + columns * (8 * module._CELL + module._GAP)
    assert sheet.height == module._HEAD + classes * (module._CELL + 4)


def test_classes_beyond_the_last_row_are_counted() -> None:
    names = [str(number) for number in range(20)]
    assert contact_sheet(names, {"a": film(20, 8)}).height == contact_sheet(names[:12], {"a": film(12, 8)}).height + 26
    assert contact_sheet(names, {"a": film(20, 8)}, 3).height == module._HEAD * 2 + 3 * (module._CELL + 4)


@pytest.mark.parametrize("name", ["", "<script>", "naïve 跑步", "a\nb", "x" * 500])
def test_any_name_can_be_drawn(name: str) -> None:
    sheet = contact_sheet([name], {name: film(1, 8)})
    assert sheet.size == contact_sheet(["a"], {"a": film(1, 8)}).size


def test_a_long_name_takes_lines_and_leaves_the_frames_alone() -> None:
    dark = contact_sheet(["playing_an_instrument_that_nobody_has_ever_heard_of_before"], {"a": film(1, 8)})
    frames = dark.crop((module._NAME, module._HEAD, dark.width, dark.height))
    same = contact_sheet([""], {"a": film(1, 8)}).crop((module._NAME, module._HEAD, dark.width, dark.height))
    assert frames.tobytes() == same.tobytes()
    lines = np.asarray(dark.crop((0, module._HEAD, module._NAME, dark.height)).convert("L")).min(axis=1) < 128
    assert np.count_nonzero(np.diff(lines.astype(int)) == 1) >= 3


def test_frames_keep_their_shape_and_small_ones_their_pixels() -> None:
    wide = np.zeros((1, 8, 4, 8, 3), dtype=np.uint8)
    wide[..., ::2, :] = 255
    sheet = contact_sheet(["a"], {"a": wide}, frame_width=32)
    frame = np.asarray(sheet.crop((module._NAME, module._HEAD, module._NAME + 32, module._HEAD + 16)))
    assert np.array_equal(frame, wide[0, 0].repeat(4, 0).repeat(4, 1))
    assert sheet.getpixel((module._NAME + 4, module._HEAD + 17)) == (255, 255, 255)


def test_large_frames_are_averaged() -> None:
    stripes = np.zeros((1, 8, 64, 64, 3), dtype=np.uint8)
    stripes[..., ::2, :] = 255
    sheet = contact_sheet(["a"], {"a": stripes}, frame_width=16)
    frame = np.asarray(sheet.crop((module._NAME, module._HEAD, module._NAME + 16, module._HEAD + 16)))
    assert np.abs(frame.astype(int) - 127).max() <= 1
