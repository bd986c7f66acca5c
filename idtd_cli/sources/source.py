"""What a source is, and the checks that every kind of source shares."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from idtd_cli import storage
from idtd_cli.errors import InputError

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Video:
    """One labelled video of a source."""

    id: str  #: its path relative to the source's folder, with `/`; unique
    path: Path
    label: int  #: index in the source's classes
    split: str | None  #: train, val, test; None where the source does not say
    group: str | None  #: videos of one group (a person, a recording) stay in one split


@dataclass(frozen=True)
class Source:
    """All videos of a source, sorted by id."""

    name: str  #: of its folder or file, without the path
    kind: str  #: folder or csv
    classes: tuple[str, ...]
    videos: tuple[Video, ...]

    def digest(self) -> str:
        """sha256 over every video's id, size in bytes, class, split and group, and the order of the classes."""
        rows = [[v.id, v.path.stat().st_size, v.label, v.split, v.group] for v in self.videos]
        return storage.sha256_bytes(json.dumps([self.classes, rows]).encode())


def checked(name: str, kind: str, classes: tuple[str, ...], videos: Iterable[Video], root: Path) -> Source:
    """A source, once it holds together.

    Raises:
        InputError: a video lies outside of `root`, is missing, or is listed twice; a split or class is incomplete.
    """
    videos = sorted(videos, key=lambda video: video.id)
    _present(videos, root)
    _inside(videos, root)
    _listed_once(videos, root)
    _whole(videos, classes, root)
    return Source(name=name, kind=kind, classes=classes, videos=tuple(videos))


def relative_id(text: str, where: str) -> str:
    """A relative path, written one way: `./a//b.mp4` → `a/b.mp4`.

    Raises:
        InputError: the path is absolute, goes up with `..`, or cannot be written as UTF-8.
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\0" in text:
        raise InputError(f"{where} names {text!r}, which is not a path inside the folder.", "Give relative paths.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where} names {text!r}, which is not valid UTF-8.", "Rename the file.") from error
    return str(path)


def _inside(videos: list[Video], root: Path) -> None:
    top = root.resolve()
    for video in videos:
        if not video.path.resolve().is_relative_to(top):
            raise InputError(f"{video.path} is a link that leads out of {root}.", "Put the videos into the folder.")


def _present(videos: list[Video], root: Path) -> None:
    missing = [video.id for video in videos if not video.path.is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(videos)} listed videos are missing in {root}; the first is {missing[0]}.",
            "Put them there, or take them off the list.",
        )


def _listed_once(videos: list[Video], root: Path) -> None:
    seen: dict[Path, Video] = {}
    for video in videos:
        other = seen.setdefault(video.path.resolve(), video)
        if other is video:
            continue
        if other.split != video.split:
            raise InputError(f"{root} has {video.id} in both {other.split} and {video.split}.", "Keep one of the two.")
        raise InputError(f"{root} lists {video.id} twice.", "Keep one of the two.")


def _whole(videos: list[Video], classes: tuple[str, ...], root: Path) -> None:
    if not videos:
        raise InputError(f"{root} lists no videos.")
    if "" in classes:
        raise InputError(f"{root} has a class without a name.")
    counts = Counter(video.label for video in videos)
    for label, name in enumerate(classes):
        if not counts[label]:
            raise InputError(f"{root} has no video of the class {name}.", "Add some, or take the class off the list.")
    given = Counter(video.split for video in videos)
    if set(given) == {None}:
        return
    if None in given:
        first = next(video.id for video in videos if video.split is None)
        raise InputError(f"{root} gives a split to some videos and none to {first}.", "Give it to all or to none.")
    for split in ("train", "test"):
        for label, name in enumerate(classes):
            if not any(video.label == label and video.split == split for video in videos):
                raise InputError(f"{root} lists no {split} video of the class {name}.", "Each class needs both.")
    places: dict[str, str | None] = {}
    for video in videos:
        if video.group is not None and places.setdefault(video.group, video.split) != video.split:
            raise InputError(
                f"{root} has the group {video.group} in both {places[video.group]} and {video.split}.",
                "A group must stay in one split.",
            )
