"""Something-Something V2 as its owner ships it: numbered videos, and lists in JSON.

The official validation list is `test` here, and validation videos are held out of train: the official test list has no
labels. A listed video that is not there is counted as missing, and the rest goes on.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from idtd_cli.errors import InputError
from idtd_cli.sources import lists
from idtd_cli.sources.source import Source, Video, checked
from idtd_cli.video.medium import File

NAME = "ssv2"
EXPECTS = """Something-Something V2: 20bn-something-something-v2/N.webm.
The lists labels.json, train.json and validation.json, with something-something-v2- before their names
or without it, lie beside that folder or in labels/. The validation list is used as test.
Videos that are not there are counted, and the rest goes on."""

_VIDEOS = "20bn-something-something-v2"
_PREFIX = "something-something-v2-"
#: Our split → the name of its list.
_OFFICIAL = {"train": "train", "test": "validation"}


def fits(path: Path) -> bool:
    return (path / _VIDEOS).is_dir()


def read(place: str, fold: int) -> Source:
    """List the videos of Something-Something V2 that are there. Classes are in the order of labels.json.

    Raises:
        InputError: a list is missing or does not hold together; a class has no video in train or test.
    """
    root = Path(place)
    path = _path(root, "labels")
    index = _classes(path)
    present = {entry.name for entry in os.scandir(root / _VIDEOS)}
    videos, missing = [], []
    for split, name in _OFFICIAL.items():
        for number, label in _list(_path(root, name), index, path):
            video_id = f"{_VIDEOS}/{number}.webm"
            if f"{number}.webm" in present:
                videos.append(Video(video_id, File(root / video_id), label, split, group=None))
            else:
                missing.append(video_id)
    if not videos:
        raise InputError(
            f"{root / _VIDEOS} has none of the {len(missing)} videos that the lists of {root} name.",
            "Put them there, as ID.webm.",
        )
    return checked(root.resolve().name, NAME, tuple(index), videos, root, missing=missing)


def _path(root: Path, name: str) -> Path:
    names = f"{name}.json", f"{_PREFIX}{name}.json"
    return lists.find(names, (root, root / "labels"), "The owner's archive of the labels")


def _classes(path: Path) -> dict[str, int]:
    """Name → index of labels.json, by index; there an index is text, as in `"Closing something": "7"`."""
    content = _json(path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} is not an object of label and index.", lists.AS_SHIPPED)
    if sorted(map(str, content.values())) != sorted(map(str, range(len(content)))):
        raise InputError(
            f"{path} does not number its {len(content)} labels from 0 on, each with a number of its own.",
            lists.AS_SHIPPED,
        )
    try:
        "".join(content).encode()
    except UnicodeEncodeError as error:  # JSON can write half a letter, which no file can hold
        raise InputError(f"{path} has a label that is not valid Unicode.", lists.AS_SHIPPED) from error
    return {name: int(index) for name, index in sorted(content.items(), key=lambda item: int(item[1]))}


def _list(path: Path, index: dict[str, int], labels: Path) -> list[tuple[str, int]]:
    """Number and class of each video in a list."""
    content = _json(path)
    if not isinstance(content, list):
        raise InputError(f"{path} is not a list of videos.", lists.AS_SHIPPED)
    found = []
    for place, entry in enumerate(content, start=1):
        match entry:
            # The number becomes part of a path: digits and nothing else.
            case {"id": str(number), "template": str(template)} if number.isascii() and number.isdecimal():
                name = template.replace("[", "").replace("]", "")
            case _:
                raise InputError(f"{path} entry {place} has no id of digits or no template.", lists.AS_SHIPPED)
        if name not in index:
            raise InputError(
                f"{path} entry {place} is of the class {name!r}, which is not in {labels.name}.", lists.AS_SHIPPED
            )
        found.append((number, index[name]))
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable as JSON in UTF-8 ({error}).", lists.AS_SHIPPED) from error
