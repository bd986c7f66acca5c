"""HMDB51 as its owner ships it: a folder a class, and three official splits, a list a class and split.

Many clips are cut from the same film, which stands in their names before the class: `April_09` in
`April_09_brush_hair_u_nm_np1_ba_goo_0.avi`. The clips of a film are a group, but within a split alone: the official
splits have one film in six on both sides of train and test.
"""

from __future__ import annotations

import re
from pathlib import Path

from idtd_cli.errors import InputError
from idtd_cli.sources import lists
from idtd_cli.sources.source import Source, Video, apart, checked, relative_id
from idtd_cli.video.medium import File

NAME = "hmdb51"
EXPECTS = """HMDB51: CLASS/NAME.avi.
The lists CLASS_test_splitN.txt lie there, or in testTrainMulti_7030_splits/ in or beside it.
prepare.split.fold takes official split 1, 2 or 3."""

_LISTS = "testTrainMulti_7030_splits"
_LIST = re.compile(r"(?P<label>.+)_test_split[123]\.txt")
#: What the mark after a clip's name says; 0 is a clip that the split leaves out.
_SPLITS = {"1": "train", "2": "test", "0": None}


def fits(path: Path) -> bool:
    folder = _lists(path)
    return folder is not None and any((path / label).is_dir() for label in _classes(folder))


def read(place: str, fold: int) -> Source:
    """List the videos of HMDB51; those that the official split leaves out are left out.

    Raises:
        InputError: there is no such split, a list is missing or does not hold together, or a listed clip is missing.
    """
    fold = lists.official(fold, NAME)
    root = Path(place)
    folder = _lists(root)
    if not root.is_dir():
        raise InputError(f"There is no folder {root}.", "Name the folder of the videos: hmdb51:FOLDER.")
    if folder is None:
        raise InputError(
            f"{root} has no lists like brush_hair_test_split{fold}.txt, nor has {_LISTS} in it or beside it.",
            "The owner's test_train_splits.rar holds them.",
        )
    classes = _classes(folder)
    videos = []
    for label, name in enumerate(classes):
        path = folder / f"{name}_test_split{fold}.txt"
        if not path.is_file():
            raise InputError(
                f"{folder} has no {path.name}, though it has another split of {name}.",
                "The owner's test_train_splits.rar holds it.",
            )
        for clip, split in _list(path):
            video_id = f"{name}/{clip}"
            videos.append(Video(video_id, File(root / video_id), label, split, apart(split, _film(clip, name))))
    return checked(root.resolve().name, NAME, classes, videos, root)


def _lists(root: Path) -> Path | None:
    """The folder that holds the lists."""
    for folder in (root, root / _LISTS, root.absolute().parent / _LISTS):
        if folder.is_dir() and _classes(folder):
            return folder
    return None


def _classes(folder: Path) -> tuple[str, ...]:
    """The classes that have a list of any split, sorted."""
    matches = (_LIST.fullmatch(path.name) for path in folder.iterdir())
    return tuple(sorted({match["label"] for match in matches if match}))


def _list(path: Path) -> list[tuple[str, str]]:
    """File name and split of each clip that is used; the lines are `NAME.avi 1`."""
    clips = []
    for where, line in lists.entries(path):
        text, _, mark = line.rpartition(" ")
        name = relative_id(text.strip(), where)
        if mark not in _SPLITS or not name.endswith(".avi") or "/" in name:
            raise InputError(
                f"{where} is not of the form `NAME.avi 1`, with 1 for train, 2 for test or 0 for neither.",
                lists.AS_SHIPPED,
            )
        split = _SPLITS[mark]
        if split is not None:
            clips.append((name, split))
    return clips


def _film(clip: str, label: str) -> str:
    """The film that a clip was cut from; a clip whose name does not say so is one of its own.

    What follows the class describes the clip: body part, camera, people, viewpoint, quality, number. A film's name may
    have the class in it as well, so that the last one counts.
    """
    return clip.rpartition(f"_{label}_")[0] or clip
