from __future__ import annotations

import base64

import numpy as np
import pytest
from numpy.typing import NDArray

from idtd_cli.report import videos
from idtd_cli.report.videos import shown
from idtd_cli.video import decode


def film(classes: int, frames: int = 4, side: int = 16, noise: bool = False) -> NDArray[np.uint8]:
    """Each class has a grey of its own."""
    if noise:
        return np.random.default_rng(0).integers(0, 256, (classes, frames, side, side, 3), dtype=np.uint8)
    return np.broadcast_to(
        (20 * np.arange(classes) + 20).astype(np.uint8)[:, None, None, None, None], (classes, frames, side, side, 3)
    )


def read(address: str) -> NDArray[np.uint8]:
    kind, _, content = address.partition(",")
    assert kind == "data:video/mp4;base64"
    return decode.read_exact(base64.b64decode(content))


def test_each_class_shows_its_video_of_each_set_large_enough_to_see() -> None:
    found = shown(("a", "b", "c"), {"real": film(3), "IDTD": film(3, frames=6)})
    assert [(name, [title for title, _ in row]) for name, row in found.rows] == [
        (name, ["real", "IDTD"]) for name in ("a", "b", "c")
    ]
    for number, (_, row) in enumerate(found.rows):
        for (_, address), frames in zip(row, (4, 6), strict=True):
            played = read(address)
            assert played.shape == (frames, 128, 128, 3)
            assert abs(played.astype(int) - (20 * number + 20)).max() <= 4
    assert found.left_out == ""


@pytest.mark.parametrize(("side", "played"), [(16, 128), (32, 128), (50, 100), (64, 128), (112, 112), (224, 224)])
def test_small_pixels_become_squares(side: int, played: int) -> None:
    ((_, ((_, address),)),) = shown(("a",), {"real": film(1, side=side)}).rows
    assert read(address).shape == (4, played, played, 3)


def test_the_same_videos_give_the_same_page() -> None:
    columns = {"real": film(1, noise=True)}
    assert shown(("a",), columns) == shown(("a",), columns)


@pytest.mark.parametrize(
    ("classes", "columns", "rows", "left_out"),
    [
        (13, 1, 12, "Shown are 12 of 13 classes: the page is to stay small."),
        (12, 1, 12, ""),
        (5, 8, 4, "Shown are 4 of 5 classes: the page is to stay small."),
        (2, 10, 2, "Shown are 9 of 10 kinds: the page is to stay small."),
        (5, 10, 4, "Shown are 4 of 5 classes and 9 of 10 kinds: the page is to stay small."),
    ],
)
def test_a_phone_can_play_them_all(
    monkeypatch: pytest.MonkeyPatch, classes: int, columns: int, rows: int, left_out: str
) -> None:
    monkeypatch.setattr(videos, "_address", lambda *_: "data:,")
    names = [str(number) for number in range(classes)]
    found = shown(names, {str(number): film(classes) for number in range(columns)})
    assert (len(found.rows), found.left_out) == (rows, left_out)


@pytest.mark.parametrize(
    ("room", "rows", "columns"), [(60, 3, 2), (59, 2, 2), (20, 1, 2), (19, 1, 1), (10, 1, 1), (9, 0, 1)]
)
def test_what_does_not_fit_into_the_page_is_left_out(
    monkeypatch: pytest.MonkeyPatch, room: int, rows: int, columns: int
) -> None:
    monkeypatch.setattr(videos, "_address", lambda *_: "0123456789")
    monkeypatch.setattr(videos, "_MOST_CHARACTERS", room)
    found = shown(("a", "b", "c"), {"real": film(3), "IDTD": film(3)})
    assert (len(found.rows), {len(row) for _, row in found.rows}) == (rows, {columns} if rows else set())
    assert ("classes" in found.left_out, "kinds" in found.left_out) == (rows < 3, columns < 2)


def test_noise_in_the_size_of_the_field_stays_inside_the_limit() -> None:
    """Nothing is larger than noise."""
    columns = {str(number): film(3, frames=16, side=112, noise=True) for number in range(2)}
    found = shown(("a", "b", "c"), columns)
    assert 0 < sum(len(address) for _, row in found.rows for _, address in row) <= 4_000_000
