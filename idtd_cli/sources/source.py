"""What a source is, and the checks that every kind of source shares."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from idtd_cli import storage
from idtd_cli.errors import InputError
from idtd_cli.video.medium import Address, File, Medium, Member, Stills

SPLITS = ("train", "val", "test")
#: Digits of an index; a longer one is a name, or nothing.
MOST_DIGITS = 9


@dataclass(frozen=True)
class Video:
    """One labelled video of a source."""

    id: str  #: its path relative to the source's folder, with `/`; unique
    medium: Medium  #: where its bytes are
    label: int  #: index in the source's classes
    split: str | None  #: train, val, test; None where the source does not say
    group: str | None  #: videos of one group (a person, a recording) stay in one split
    start: float | None = None  #: seconds; the video is the part from `start` to `end` of an untrimmed one
    end: float | None = None


@dataclass(frozen=True)
class Source:
    """All videos of a source, sorted by id."""

    name: str  #: of its folder or file, without the path
    kind: str  #: key in the registry of sources
    classes: tuple[str, ...]
    videos: tuple[Video, ...]
    missing: tuple[str, ...] = ()  #: ids of videos that its lists name and that are not there, where that is no error

    def digest(self) -> str:
        """sha256 over every video's id, size in bytes, class, split, group and part, and the order of the classes."""
        rows = [[v.id, v.medium.size(), v.label, v.split, v.group, v.start, v.end] for v in self.videos]
        return storage.sha256_bytes(json.dumps([self.classes, rows, self.missing]).encode())


def checked(
    name: str,
    kind: str,
    classes: tuple[str, ...],
    videos: Iterable[Video],
    root: Path,
    *,
    missing: Iterable[str] = (),
) -> Source:
    """A source, once it holds together.

    Args:
        name: of its folder or file.
        kind: key in the registry of sources.
        classes: names, in the order of the labels.
        videos: in any order.
        root: the folder that no video may lie outside of.
        missing: ids of videos that are listed and not there, where that is no error.

    Raises:
        InputError: a video lies outside of `root`, is missing, or is listed twice; a split or class is incomplete.
    """
    videos = sorted(videos, key=lambda video: video.id)
    missing = sorted(missing)
    groups = (video.group for video in videos if video.group is not None)
    for text in (name, *classes, *(video.id for video in videos), *groups, *missing):
        _writable(text, root)
    _present(videos, root)
    real = _real(videos)
    _inside(real, root)
    _listed_once(videos, real, root)
    _whole(videos, classes, root)
    return Source(name=name, kind=kind, classes=classes, videos=tuple(videos), missing=tuple(missing))


def apart(split: str | None, group: str) -> str:
    """A group's name that counts within the given split alone.

    Official lists may have clips of one recording in both train and test, and they rule: `checked` must not refuse
    that. What is left to do is to keep a recording whole when validation videos are held out of train.
    """
    return group if split is None else f"{split}:{group}"


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The names of classes, each once, sorted; by value if all are whole numbers."""
    once = set(names)
    numbers = all(name.isdecimal() and len(name) <= MOST_DIGITS for name in once)
    return tuple(sorted(once, key=lambda name: (int(name) if numbers else 0, name)))


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


def _writable(text: str, root: Path) -> None:
    """Names go into text files: JSON and CSV in UTF-8, where a carriage return would end a line."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{root} has the name {text!r}, which is not valid UTF-8.", "Rename it.") from error
    if "\r" in text:
        raise InputError(f"{root} has the name {text!r}, which holds a carriage return.", "Rename it.")


def _real(videos: list[Video]) -> dict[Path, Path]:
    """The paths on this machine, each with where it leads. A folder is looked up once: sets have 240,000 files."""
    folders: dict[Path, Path] = {}
    real: dict[Path, Path] = {}
    for path in (path for video in videos for path in _paths(video.medium)):
        folder = folders.get(path.parent) or folders.setdefault(path.parent, path.parent.resolve())
        real[path] = path.resolve() if path.is_symlink() else folder / path.name
    return real


def _inside(real: dict[Path, Path], root: Path) -> None:
    top = root.resolve()
    for folder in (top, *top.parents):
        # A snapshot in the cache of the Hub's client is made of links into the repository's blobs beside it.
        if folder.parent.name == "snapshots" and (folder.parents[1] / "blobs").is_dir():
            top = folder.parents[1]
            break
    for path, target in real.items():
        if not target.is_relative_to(top):
            raise InputError(f"{path} is a link that leads out of {root}.", "Put the videos into the folder.")


def _paths(medium: Medium) -> list[Path]:
    """What a medium needs on this machine: its file, or its folder and the links in there."""
    match medium:
        case File(path) | Member(path, _, _):
            return [path]
        case Stills(folder):
            with os.scandir(folder) as entries:
                return [folder, *(Path(entry.path) for entry in entries if entry.is_symlink())]
        case Address():
            return []


def _present(videos: list[Video], root: Path) -> None:
    missing = [video.id for video in videos if not video.medium.exists()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(videos)} listed videos are missing in {root}; the first is {missing[0]}.",
            "Put them there, or take them off the list.",
        )


def _listed_once(videos: list[Video], real: dict[Path, Path], root: Path) -> None:
    seen: dict[object, Video] = {}
    top = root.resolve()
    for video in videos:
        medium = video.medium
        # A link is the file that it leads to; but in the Hub's cache, outside of `root`, equal files are one.
        if isinstance(medium, File) and real[medium.path].is_relative_to(top):
            medium = File(real[medium.path])
        for name in (video.id, (medium, video.start, video.end)):
            other = seen.setdefault(name, video)
            if other is video:
                continue
            if other.split != video.split:
                raise InputError(
                    f"{root} has {video.id} in both {other.split} and {video.split}.", "Keep one of the two."
                )
            raise InputError(f"{root} lists {video.id} twice.", "Keep one of the two.")


def _whole(videos: list[Video], classes: tuple[str, ...], root: Path) -> None:
    if not videos:
        raise InputError(f"{root} lists no videos.", "Give its lists a line for each video.")
    if "" in classes:
        raise InputError(f"{root} has a class without a name.", "Give it a name.")
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
    both = {(video.split, video.label) for video in videos}
    for split in ("train", "test"):
        for label, name in enumerate(classes):
            if (split, label) not in both:
                raise InputError(f"{root} lists no {split} video of the class {name}.", "Each class needs both.")
    places: dict[str, str | None] = {}
    for video in videos:
        if video.group is not None and places.setdefault(video.group, video.split) != video.split:
            raise InputError(
                f"{root} has the group {video.group} in both {places[video.group]} and {video.split}.",
                "A group must stay in one split.",
            )
