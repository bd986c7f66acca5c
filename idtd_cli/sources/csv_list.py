"""A CSV file that lists videos: columns path and label, optionally split, group, start and end.

Paths are relative to the file's folder; an address, as in s3://bucket/a.mp4, is asked for its size. With start or end
(seconds) a row is that part of a longer video. Other columns are left alone.
"""

from __future__ import annotations

import io
import math
from collections import Counter
from pathlib import Path

from idtd_cli.errors import InputError
from idtd_cli.sources import lists
from idtd_cli.sources.source import SPLITS, Source, Video, apart, checked, in_order, relative_id
from idtd_cli.video.medium import Address, File, Medium

NAME = "csv"
EXPECTS = """A CSV file with the columns path,label and optionally split,group,start,end.
Paths are relative to its folder, or addresses such as s3://BUCKET/VIDEO.mp4.
split is train, val or test; videos of one group stay in one split.
start and end are seconds: the row is that part of a longer video."""

#: What an address has and a path has not: `relative_id` writes a//b as a/b.
_MARK = "://"


def fits(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() == ".csv"


def read(place: str, fold: int) -> Source:
    """List the videos of a CSV file. Classes are its labels, sorted; by value if all are whole numbers.

    Parts of one video that have no group are one: they must not be in both train and validation.

    Raises:
        InputError: the file or a row does not say which video, which part of it and which class, or an address cannot
            be opened.
    """
    path = Path(place)
    rows = lists.rows(path, ("path", "label"), "path,label or path,label,split,group,start,end")
    classes = in_order(row["label"] for row in rows)
    index = {name: label for label, name in enumerate(classes)}
    wheres = [f"{path} line {number}" for number in range(2, len(rows) + 2)]
    files = [_file_id(row["path"], where) for row, where in zip(rows, wheres, strict=True)]
    times_listed = Counter(files)
    media: dict[str, Medium] = {}
    videos = []
    for row, where, file_id in zip(rows, wheres, files, strict=True):
        split = row.get("split") or None
        if split is not None and split not in SPLITS:
            raise InputError(f"{where} has the split {split!r}.", f"Use one of {', '.join(SPLITS)}, or leave it empty.")
        start, end = _part(row, where)
        if file_id not in media:
            media[file_id] = _address(file_id, where) if _MARK in file_id else File(path.parent / file_id)
        group = row.get("group") or (apart(split, file_id) if times_listed[file_id] > 1 else None)
        video_id = file_id if start is end is None else f"{file_id}#{_text(start)}-{_text(end)}"
        videos.append(Video(video_id, media[file_id], index[row["label"]], split, group, start, end))
    return checked(path.name, NAME, classes, videos, path.parent)


def _file_id(text: str, where: str) -> str:
    if not text:
        raise InputError(f"{where} has no path.", "Fill its column path in, or remove the row.")
    return text if _MARK in text else relative_id(text, where)


def _part(row: dict[str, str], where: str) -> tuple[float | None, float | None]:
    """Start and end in seconds, None where the row leaves them open."""
    start, end = (_seconds(row.get(column, ""), column, where) for column in ("start", "end"))
    if end is not None and end <= (start or 0):
        raise InputError(
            f"{where} ends at {_text(end)} s, which is not after its start at {_text(start or 0)} s.",
            "Give seconds from the start of the file, or leave the end empty.",
        )
    return start, end


def _seconds(text: str, column: str, where: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise InputError(f"{where} has the {column} {text!r}.", "Give seconds from 0 on, or leave it empty.")
    return abs(seconds)  # there is a -0


def _text(seconds: float | None) -> str:
    return "" if seconds is None else str(seconds).removesuffix(".0")


def _address(url: str, where: str) -> Address:
    try:
        with Address(url, bytes=0).open() as file:
            return Address(url, bytes=file.seek(0, io.SEEK_END))
    except Exception as error:  # each file system of fsspec has errors of its own
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(
            f"{where} names {url}, which cannot be opened: {reason}.",
            "Mend that; an address needs fsspec's package for its file system (s3fs, gcsfs, aiohttp).",
        ) from error
