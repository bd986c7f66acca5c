"""A folder of class folders whose videos are folders of pictures, `bend/clip/frame0001.jpg`, one picture a frame.

Lists at its root, train.txt, test.txt, val.txt and classes.txt, are read as those of the kind `folder` are; a line
names a video's folder. Pictures are in the natural order of their names: frame2 before frame10.
"""

from __future__ import annotations

import os
from pathlib import Path

from idtd_cli.errors import InputError
from idtd_cli.sources import folder
from idtd_cli.sources.source import Source, relative_id
from idtd_cli.video.medium import PICTURES, Stills, is_picture

NAME = "frames"
EXPECTS = """A folder of class folders of picture folders: CLASS/VIDEO/frame0001.jpg.
Optional beside them: train.txt, test.txt, val.txt (lines `path[ class index]`) and classes.txt."""


def fits(path: Path) -> bool:
    try:
        for name in _folders(path):
            if any(folder.is_video(file.name) for file in (path / name).iterdir()):
                return False
            for video in _folders(path / name):
                return any(is_picture(file.name) for file in (path / name / video).iterdir())
    except OSError:
        pass
    return False


def read(place: str, fold: int) -> Source:
    """List the videos of a folder.

    Raises:
        InputError: the folder or its lists do not say which videos there are and of which class.
    """
    return folder.class_folders(Path(place), NAME, _walk, Stills)


def _walk(root: Path) -> list[str]:
    found = [relative_id(f"{name}/{video}", str(root)) for name in _folders(root) for video in _folders(root / name)]
    if not found:
        raise InputError(
            f"{root} holds no folders of pictures.",
            f"Expected SOURCE/bend/clip/frame0001.jpg. Extensions: {' '.join(sorted(PICTURES))}.",
        )
    return found


def _folders(path: Path) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
