from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from idtd_cli.distilled import previews
from idtd_cli.recipe import ClipConfig
from tests.distilled import making
from tests.distilled.making import FRAMES, NAMES


def draw(folder: Path, classes: tuple[str, ...], height: int = 32, width: int = 48, frames: int = FRAMES) -> None:
    """Two videos a class: the first is grey, brighter with each class and each frame; the second is white."""
    folder.mkdir(exist_ok=True)
    clip = ClipConfig(frames=frames, stored_frames=frames, height=height, width=width)
    videos = torch.full((len(classes) * 2, frames, 3, height, width), 255, dtype=torch.uint8)
    for label in range(len(classes)):
        for frame in range(frames):
            videos[2 * label, frame] = (10 + 3 * label + 10 * frame) % 250
    previews.write(folder, making.document(classes=classes, clip=clip, frames=frames), videos)


def test_the_poster_shows_the_middle_of_each_class(tmp_path: Path) -> None:
    draw(tmp_path, ("walk", "run", "sit"))
    poster = np.asarray(Image.open(tmp_path / "poster.png"))
    side, gap, name = 96, 4, 16
    assert poster.shape == (side + name + 2 * gap, 3 * (side * 48 // 32 + gap) + gap, 3)
    for label in range(3):
        left = gap + label * (144 + gap)
        frame = poster[gap + name : gap + name + side, left : left + 144]
        assert (frame == 10 + 3 * label + 10 * (FRAMES // 2)).all()
        assert (poster[gap : gap + name, left : left + 144] < 128).any()  # its name


def test_the_gif_shows_all_frames(tmp_path: Path) -> None:
    draw(tmp_path, ("walk", "run"))
    with Image.open(tmp_path / "preview.gif") as gif:
        assert gif.n_frames == FRAMES  # type: ignore[attr-defined]
        assert (gif.info["loop"], gif.info["duration"]) == (0, 120)
        for frame in range(FRAMES):
            gif.seek(frame)
            assert abs(gif.convert("RGB").getpixel((40, 60))[0] - (10 + 10 * frame)) <= 2  # type: ignore[index]


def test_a_filmstrip_of_each_class(tmp_path: Path) -> None:
    draw(tmp_path, ("lie down", "run"), frames=20)
    assert sorted(path.name for path in (tmp_path / "filmstrips").iterdir()) == ["lie_down.jpg", "run.jpg"]
    strip = np.asarray(Image.open(tmp_path / "filmstrips" / "run.jpg")).astype(int)
    frames = [strip[20, 4 + 50 + place * (96 + 4), 0] for place in range(16)]
    shown = np.linspace(0, 19, 16).round()
    assert np.abs(np.array(frames) - (13 + 10 * shown)).max() <= 3


@pytest.mark.parametrize(("height", "width"), [(4, 4), (112, 112), (240, 320), (200, 60)])
def test_frames_of_any_size_are_brought_to_one(tmp_path: Path, height: int, width: int) -> None:
    draw(tmp_path, ("walk", "run"), height, width)
    strip = Image.open(tmp_path / "filmstrips" / "run.jpg")
    assert 64 <= min(strip.height - 8, strip.width // FRAMES - 4) < 128


def test_many_classes_and_names_of_any_kind(tmp_path: Path) -> None:
    draw(tmp_path / "a", NAMES * 5)
    assert Image.open(tmp_path / "a" / "poster.png").size == (6 * 148 + 4, 6 * 116 + 4)
    assert len(list((tmp_path / "a" / "filmstrips").iterdir())) == 50
    draw(tmp_path / "b", NAMES * 5)
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
