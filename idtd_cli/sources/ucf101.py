"""UCF101 as its owner ships it: a folder a class, and three official splits into train and test.

A clip's name says which of the 25 recordings of its class it was cut from, `v_YoYo_g08_c01.avi`: clips of one recording
are a group. The class HandstandPushups has clips named v_HandStandPushups, on disk as in the lists.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from idtd_cli.errors import InputError
from idtd_cli.sources import lists
from idtd_cli.sources.source import Source, Video, checked, relative_id
from idtd_cli.video.medium import File

NAME = "ucf101"
EXPECTS = """UCF101: CLASS/v_CLASS_gNN_cNN.avi, or a folder that holds UCF-101/ with these.
trainlist0N.txt, testlist0N.txt and classInd.txt lie there, or in ucfTrainTestlist/ in or beside it.
prepare.split.fold takes official split 1, 2 or 3."""

_VIDEOS = "UCF-101"
_LISTS = "ucfTrainTestlist"
_HOLDER = "The owner's UCF101TrainTestSplits-RecognitionTask.zip"
_CLASS = re.compile(r"(?P<index>\d{1,6})\s+(?P<label>\S+)")
_NAME = re.compile(r"v_(?P<recording>\w+_g\d+)_c\d+\.avi")


def fits(path: Path) -> bool:
    root, folders = _layout(path)
    if not all(any((folder / name).is_file() for folder in folders) for name in ("classInd.txt", "trainlist01.txt")):
        return False
    # Lists beside a folder may be those of its neighbour: the clips must look like it, too.
    return next(root.glob("*/v_*_g[0-9][0-9]_c[0-9][0-9].avi"), None) is not None


def read(place: str, fold: int) -> Source:
    """List the videos of UCF101.

    Raises:
        InputError: there is no such split, a list is missing or does not hold together, or a listed clip is missing.
    """
    return listing(place, fold, NAME)


def listing(place: str, fold: int, kind: str, only: Sequence[str] | None = None) -> Source:
    """List the videos of UCF101, or those of some of its classes.

    Args:
        place: the folder.
        fold: the official split, 1 to 3.
        kind: in whose name.
        only: the classes wanted; all by default. Their order is that of classInd.txt either way.

    Raises:
        InputError: there is no such split, a list is missing or does not hold together, or a listed clip is missing.
    """
    fold = lists.official(fold, kind)
    root, folders = _layout(Path(place))
    index = _classes(lists.find(("classInd.txt",), folders, _HOLDER))
    splits = {s: lists.find((f"{s}list{fold:02d}.txt",), folders, _HOLDER) for s in ("train", "test")}
    for name in only or ():
        if name not in index:
            raise InputError(
                f"The classInd.txt of {root} has no class {name}, which is one of {kind}.", lists.AS_SHIPPED
            )
    wanted = tuple(name for name in index if only is None or name in only)
    videos = [
        Video(video_id, File(root / video_id), wanted.index(label), split, recording)
        for split, path in splits.items()
        for video_id, label, recording in _list(path, index)
        if label in wanted
    ]
    return checked(Path(place).resolve().name, kind, wanted, videos, root)


def _layout(path: Path) -> tuple[Path, tuple[Path, ...]]:
    """The folder of the class folders, and the folders in which its lists may lie."""
    root = path / _VIDEOS if (path / _VIDEOS).is_dir() else path
    return root, (root, root / _LISTS, root.absolute().parent / _LISTS)


def _classes(path: Path) -> dict[str, int]:
    """Name → index of classInd.txt, by index; its lines are `1 ApplyEyeMakeup`."""
    classes: dict[str, int] = {}
    for where, line in lists.entries(path):
        match = _CLASS.fullmatch(line)
        if match is None:
            raise InputError(f"{where} is not of the form `1 ApplyEyeMakeup`.", lists.AS_SHIPPED)
        index, name = int(match["index"]), match["label"]
        if name in classes or index in classes.values():
            raise InputError(f"{where} gives the class {name} or the index {index} a second time.", lists.AS_SHIPPED)
        classes[name] = index
    return dict(sorted(classes.items(), key=lambda item: item[1]))


def _list(path: Path, index: dict[str, int]) -> list[tuple[str, str, str]]:
    """Id, class and recording of each clip in a list; its lines are `YoYo/v_YoYo_g08_c01.avi`, an index may follow."""
    clips = []
    for where, line in lists.entries(path):
        text, _, given = line.partition(" ")
        video_id = relative_id(text, where)
        label, _, name = video_id.rpartition("/")
        match = _NAME.fullmatch(name)
        if match is None:
            raise InputError(f"{where} is not of the form `YoYo/v_YoYo_g08_c01.avi`.", lists.AS_SHIPPED)
        if label not in index:
            raise InputError(
                f"{where} is of the class {label or '(none)'}, which is not in classInd.txt.", lists.AS_SHIPPED
            )
        if given and given.strip() != str(index[label]):
            raise InputError(
                f"{where} gives the class {given.strip()}; in classInd.txt {label} is {index[label]}.", lists.AS_SHIPPED
            )
        clips.append((video_id, label, match["recording"]))
    return clips
