"""A CSV file that lists videos: columns path and label, optionally split (train, val, test) and group.

Paths are relative to the file's folder. Other columns are left alone.
"""

from __future__ import annotations

import csv
from pathlib import Path

from idtd_cli.errors import InputError
from idtd_cli.sources.source import SPLITS, Source, Video, checked, relative_id
from idtd_cli.video.medium import File

NAME = "csv"
EXPECTS = """A CSV file with the columns path,label and optionally split,group.
Paths are relative to its folder; split is train, val or test; videos of one group stay in one split."""


def fits(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() == ".csv"


def read(place: str, fold: int) -> Source:
    """List the videos of a CSV file. Classes are its labels, sorted; by value if all are whole numbers.

    Raises:
        InputError: the file or a row does not say which video and which class.
    """
    path = Path(place)
    rows = _rows(path)
    labels = {row["label"] for row in rows}
    numbers = all(label.isdecimal() for label in labels)
    classes = tuple(sorted(labels, key=lambda label: (int(label) if numbers else 0, label)))
    index = {name: label for label, name in enumerate(classes)}
    root = path.parent
    videos = []
    for number, row in enumerate(rows, start=2):
        where = f"{path} line {number}"
        if not row["path"]:
            raise InputError(f"{where} has no path.")
        split = row.get("split") or None
        if split is not None and split not in SPLITS:
            raise InputError(f"{where} has the split {split!r}.", f"Use one of {', '.join(SPLITS)}, or leave it empty.")
        video_id = relative_id(row["path"], where)
        videos.append(Video(video_id, File(root / video_id), index[row["label"]], split, row.get("group") or None))
    return checked(path.name, NAME, classes, videos, root)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            columns = [column.strip() for column in reader.fieldnames or ()]
            for needed in ("path", "label"):
                if needed not in columns:
                    raise InputError(
                        f"{path} has no column {needed}; its columns are {', '.join(columns) or 'none'}.",
                        "Its first line must be path,label or path,label,split,group.",
                    )
            reader.fieldnames = columns
            rows = [{key: value.strip() for key, value in row.items() if isinstance(value, str)} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not readable as CSV in UTF-8 ({error}).") from error
    if not rows:
        raise InputError(f"{path} lists no videos.")
    return rows
