"""A folder of class folders, `bend/clip.mp4`, with optional lists at its root.

- train.txt, test.txt and val.txt: one video a line, `path` or `path index`; the path is relative to the root. With any
  of them, only listed videos count, whatever their extension.
- classes.txt: one class a line, `name` or `index name`. Without it the classes are the folders' names, sorted.

A video's class is the folder it lies in; an index on its line must name the same class.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from idtd_cli.errors import InputError
from idtd_cli.sources import lists
from idtd_cli.sources.source import MOST_DIGITS, SPLITS, Source, Video, checked, relative_id
from idtd_cli.video.medium import File, Stills, is_picture

NAME = "folder"
EXPECTS = """A folder of class folders: CLASS/VIDEO.mp4 (or another container).
Optional beside them: train.txt, test.txt, val.txt (lines `path[ class index]`) and classes.txt."""

#: Files in class folders with these extensions are videos; others are left alone.
EXTENSIONS = frozenset(
    (".mp4", ".avi", ".mkv", ".webm", ".mov", ".mpg", ".mpeg", ".m4v", ".ts", ".wmv", ".flv", ".gif")
)
_LAYOUT = "Expected one folder a class, as in SOURCE/bend/clip.mp4."


def fits(path: Path) -> bool:
    return path.is_dir()


def read(place: str, fold: int) -> Source:
    """List the videos of a folder.

    Raises:
        InputError: the folder or its lists do not say which videos there are and of which class.
    """
    return class_folders(Path(place), NAME, _walk, File)


def class_folders(
    root: Path, kind: str, walk: Callable[[Path], list[str]], medium: Callable[[Path], File | Stills]
) -> Source:
    """List the videos of a folder of class folders, by its lists if it has them.

    Args:
        root: the folder.
        kind: in whose name.
        walk: finds the videos in the class folders: their ids.
        medium: what a video is, of its path.

    Raises:
        InputError: the folder or its lists do not say which videos there are and of which class.
    """
    given = {split: root / f"{split}.txt" for split in SPLITS if (root / f"{split}.txt").is_file()}
    if given:
        for split in ("train", "test"):
            if split not in given:
                raise InputError(
                    f"{root} has {', '.join(p.name for p in given.values())} but no {split}.txt.", "Give both, or none."
                )
        entries = [entry for split, path in given.items() for entry in _list(path, split, root, medium)]
    else:
        entries = [(video_id, None, None, video_id) for video_id in walk(root)]
    numbered = class_list(root)
    if numbered is None:
        numbered = dict(enumerate(sorted({_folder(video_id) for video_id, *_ in entries})))
    names = list(numbered.values())
    videos = [
        Video(
            id=video_id,
            medium=medium(root / video_id),
            label=names.index(_class(video_id, index, numbered, where)),
            split=split,
            group=None,
        )
        for video_id, index, split, where in entries
    ]
    return checked(root.resolve().name, kind, tuple(names), videos, root)


#: id, class index if the line gives one, split, and where this was said.
_Entry = tuple[str, "int | None", "str | None", str]


def _walk(root: Path) -> list[str]:
    found, loose, picture = [], [], ""
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            for file in sorted(os.scandir(entry.path), key=lambda file: file.name):
                if is_video(file.name) and not file.is_dir():
                    found.append(relative_id(f"{entry.name}/{file.name}", str(root)))
                elif not picture and is_picture(file.name):
                    picture = f"{entry.name}/{file.name}"
        elif is_video(entry.name):
            loose.append(entry.name)
    if not found and loose:
        raise InputError(f"{root} has videos but no classes: {loose[0]} lies at its top.", _LAYOUT)
    if not found and picture:
        raise InputError(
            f"{root} holds pictures, as {picture}, and no videos.",
            "If they are frames, put those of each video into a folder of its own: SOURCE/bend/clip/frame0001.jpg.",
        )
    if not found:
        raise InputError(f"{root} holds no videos.", f"{_LAYOUT} Extensions: {' '.join(sorted(EXTENSIONS))}.")
    return found


def is_video(name: str) -> bool:
    """Whether a file of this name is a video."""
    return not name.startswith(".") and Path(name).suffix.lower() in EXTENSIONS


def _list(path: Path, split: str, root: Path, medium: Callable[[Path], File | Stills]) -> list[_Entry]:
    def there(text: str) -> bool:
        return medium(root / relative_id(text, where)).exists()

    entries: list[_Entry] = []
    for where, line in lists.entries(path):
        head, _, tail = line.rpartition(" ")
        # A name may end in a number itself: the file decides which of the two it is.
        if head and _is_index(tail) and (there(head.strip()) or not there(line)):
            entries.append((relative_id(head.strip(), where), int(tail), split, where))
        else:
            entries.append((relative_id(line, where), None, split, where))
    return entries


def _is_index(text: str) -> bool:
    return text.isdecimal() and len(text) <= MOST_DIGITS


def class_list(root: Path) -> dict[int, str] | None:
    """Index → name of classes.txt, in the order of the indices; None without the file.

    Raises:
        InputError: it is empty, or names a class twice.
    """
    path = root / "classes.txt"
    if not path.is_file():
        return None
    classes: dict[int, str] = {}
    lines = [line for line in lists.lines(path) if line]
    # All lines or none carry an index: a class may be called "2 hands".
    indexed = all(_is_index(line.split(maxsplit=1)[0]) and len(line.split()) > 1 for line in lines)
    for number, line in enumerate(lines):
        index, name = number, line
        if indexed:
            text, name = line.split(maxsplit=1)
            index = int(text)
        if index in classes or name in classes.values():
            raise InputError(f"{path} has the class {line!r} twice.", "Keep one of the two.")
        classes[index] = name
    if not classes:
        raise InputError(f"{path} is empty.", "Write one class a line, or remove it.")
    return dict(sorted(classes.items()))


def _class(video_id: str, index: int | None, numbered: dict[int, str], where: str) -> str:
    folder = _folder(video_id)
    known = folder in numbered.values()
    if index is None:
        if not known:
            raise InputError(f"{where} is of the class {folder or '(none)'}, which is not in classes.txt.", _LAYOUT)
        return folder
    if index not in numbered:
        raise InputError(f"{where} gives the class {index}; the classes are {_span(numbered)}.", "See classes.txt.")
    if known and numbered[index] != folder:
        raise InputError(
            f"{where} gives the class {index} ({numbered[index]}) to a video in the folder {folder}.",
            "Say in classes.txt which index is which class, as in `0 bend`.",
        )
    return numbered[index]


def _folder(video_id: str) -> str:
    return PurePosixPath(video_id).parent.name


def _span(numbered: dict[int, str]) -> str:
    return f"{min(numbered)} to {max(numbered)}"
