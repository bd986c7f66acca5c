from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from idtd_cli.errors import InputError
from idtd_cli.sources.registry import find
from idtd_cli.video import decode
from idtd_cli.video.medium import Stills
from tests.video.making import every_frame


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of two videos of nine pictures each."""
    for video in ("run/a", "run/b 2", "jump/a", "jump/c.1"):
        folder = tmp_path / "set" / video
        folder.mkdir(parents=True)
        for number in range(1, 10):
            Image.new("RGB", (20, 20), (number * 20,) * 3).save(folder / f"img_{number:05d}.jpg")
    return tmp_path / "set"


def test_folders_of_pictures_are_videos(root: Path) -> None:
    (root / "run" / "notes.txt").write_text("no folder")
    (root / "run" / ".hidden").mkdir()
    source = find(root)
    assert (source.name, source.kind, source.classes) == ("set", "frames", ("jump", "run"))
    assert [video.id for video in source.videos] == ["jump/a", "jump/c.1", "run/a", "run/b 2"]
    assert source.videos[3].medium == Stills(root / "run/b 2")
    assert decode.decode(source.videos[0].medium, every_frame(9)).frames == 9


def test_lists_are_those_of_a_folder(root: Path) -> None:
    (root / "train.txt").write_text("run/a 1\njump/a 0\n")
    (root / "test.txt").write_text("run/b 2\njump/c.1\n")
    assert [(v.id, v.label, v.split) for v in find(root).videos] == [
        ("jump/a", 0, "train"),
        ("jump/c.1", 0, "test"),
        ("run/a", 1, "train"),
        ("run/b 2", 1, "test"),
    ]
    (root / "test.txt").write_text("run/b 1\n")
    with pytest.raises(InputError, match=r"1 of 3 listed videos are missing in .*; the first is run/b"):
        find(root)


def test_videos_with_a_folder_of_pictures_beside_them_are_a_folder(root: Path) -> None:
    for name in ("run", "jump"):
        (root / name / "a.mp4").write_bytes(b"x")
    assert find(root).kind == "folder"


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="holds no folders of pictures"):
        find(f"frames:{tmp_path}")


def test_links_out_of_the_folder_are_refused(root: Path, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20)).save(tmp_path / "secret.jpg")
    (root / "run" / "a" / "img_00010.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(InputError, match=r"img_00010.jpg is a link that leads out of"):
        find(root)


def test_the_digest_follows_the_pictures(root: Path) -> None:
    before = find(root).digest()
    Image.new("RGB", (40, 40), (9, 99, 199)).save(root / "run/a/img_00010.jpg")
    assert find(root).digest() != before
