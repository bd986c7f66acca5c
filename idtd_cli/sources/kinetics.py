"""Kinetics-400, -600 and -700: the owner's lists, and the clips that could be had.

The official validation list is `test` here, and validation videos are held out of train: the official test list has no
labels in some versions. Videos vanish from their site, so that nobody has all clips: those that are not there are
counted as missing and the rest goes on. A class stays in the set as long as the lists name it.
"""

from __future__ import annotations

import os
from pathlib import Path

from idtd_cli.errors import InputError
from idtd_cli.sources import lists
from idtd_cli.sources.source import Source, Video, apart, checked, relative_id
from idtd_cli.video.medium import File

NAME = "kinetics"
EXPECTS = """Kinetics-400, -600 or -700: train/ and val/ with ID_SSSSSS_EEEEEE.mp4 or ID.mp4, in class folders or not.
The owner's train.csv and val.csv (or validate.csv) lie beside them or in annotations/.
The validation list is used as test. Clips that are not there are counted, and the rest goes on."""

_COLUMNS = ("label", "youtube_id", "time_start", "time_end")
#: Our split → the names of its list, and of the folder with its clips.
_OFFICIAL = {"train": ("train",), "test": ("val", "validate")}


def fits(path: Path) -> bool:
    for names in _OFFICIAL.values():
        found = [csv for folder in _folders(path) for name in names if (csv := folder / f"{name}.csv").is_file()]
        if not found or not any((path / name).is_dir() for name in names):
            return False
        with open(found[0], "rb") as file:
            if b"youtube_id" not in file.readline(1000):
                return False
    return True


def read(place: str, fold: int) -> Source:
    """List the clips of Kinetics that are there. Classes are the labels of both lists, sorted.

    Raises:
        InputError: a list is missing or does not say which clip and which class; a class has no clip in train or test.
    """
    root = Path(place)
    listed = {split: _rows(root, names) for split, names in _OFFICIAL.items()}
    classes = tuple(sorted({label for rows in listed.values() for label, *_ in rows}))
    index = {name: label for label, name in enumerate(classes)}
    videos, missing = [], []
    for split, rows in listed.items():
        present = _files(root, _OFFICIAL[split])
        for label, youtube_id, span in rows:
            cut = f"{youtube_id}_{span}.mp4"
            video_id = present.get(cut) or present.get(f"{youtube_id}.mp4")
            if video_id is None:
                missing.append(f"{split}/{cut}")
                continue
            # Later versions have several clips of one video.
            videos.append(Video(video_id, File(root / video_id), index[label], split, apart(split, youtube_id)))
    if not videos:
        raise InputError(
            f"{root} has none of the {len(missing)} clips that its lists name; the first is {missing[0]}.",
            "Put them into train/ and val/, as ID_SSSSSS_EEEEEE.mp4 with the seconds of start and end.",
        )
    return checked(root.resolve().name, NAME, classes, videos, root, missing=missing)


def _folders(root: Path) -> tuple[Path, ...]:
    return root, root / "annotations"


def _rows(root: Path, names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Label, id and `SSSSSS_EEEEEE` of each row of a list."""
    path = lists.find(tuple(f"{name}.csv" for name in names), _folders(root), "The owner's archive of the annotations")
    found = []
    for number, row in enumerate(lists.rows(path, _COLUMNS, ",".join((*_COLUMNS, "split"))), start=2):
        if not row["youtube_id"]:
            raise InputError(f"{path} line {number} has no youtube_id.", lists.AS_SHIPPED)
        times = row["time_start"], row["time_end"]
        if not all(time.isdecimal() and len(time) < 7 for time in times):
            raise InputError(
                f"{path} line {number} is from {times[0]!r} to {times[1]!r}, which are not whole seconds.",
                lists.AS_SHIPPED,
            )
        found.append((row["label"], row["youtube_id"], "{:06d}_{:06d}".format(*map(int, times))))
    return found


def _files(root: Path, names: tuple[str, ...]) -> dict[str, str]:
    """File name → path relative to the root of all that lies in the folders of a split: looked through once."""
    found: dict[str, str] = {}
    for name in names:
        if (root / name).is_dir():
            for entry in sorted(os.scandir(root / name), key=lambda entry: entry.name):
                if entry.is_dir():
                    folder = relative_id(f"{name}/{entry.name}", str(root))
                    found |= {file.name: f"{folder}/{file.name}" for file in os.scandir(entry)}
                else:
                    found[entry.name] = f"{name}/{entry.name}"
    return found
