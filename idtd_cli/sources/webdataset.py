"""WebDataset shards: tar files whose members KEY.mp4 and KEY.cls (or KEY.json) are a video and its class.

A shard is walked header by header, and a video is later decoded where it lies: nothing is unpacked. What `idtd export`
writes is such a source, unless its clips are tensors.

- KEY.cls holds a class, as its name or its index. KEY.json may, under class, label or cls. Where both a name and an
  index are given, the name counts.
- classes.txt beside the shards: one class a line, `name` or `index name`. Without it the classes are what the members
  say, sorted; by value if all are whole numbers.
- A shard is of the split that its name, or its folder's, begins with: train-000.tar, validation/000.tar. Shards that
  are all of train say nothing about splits.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import braceexpand

from idtd_cli.errors import InputError
from idtd_cli.sources import folder
from idtd_cli.sources.source import Source, Video, checked, in_order, relative_id
from idtd_cli.video import tar
from idtd_cli.video.medium import Member

NAME = "webdataset"
EXPECTS = """A folder of WebDataset shards, one .tar, or a pattern: webdataset:DIR/train-{000..009}.tar.
Members are KEY.mp4 (or another container) with KEY.cls, a class's name or index, or KEY.json with class, label or cls.
Shards may be named by split, train-000.tar and test-000.tar, and indices by a classes.txt beside them."""

#: What the name of a shard or of its folder may begin with → split.
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_COMPRESSED = (".tar.gz", ".tgz")
#: Folders of shards within a source that are looked into: `idtd export` and others have data/.
_FOLDERS = ("", "data", "train", "val", "validation", "test")
#: Characters that the name of a class may have.
_NAME_LENGTH = 200


def fits(path: Path) -> bool:
    return bool(_shards(path))


def read(place: str, fold: int) -> Source:
    """List the videos of shards.

    Raises:
        InputError: there are no shards, one is compressed or damaged, or a video has no class.
    """
    root, shards = _find(place)
    numbered = folder.class_list(root)
    splits = {shard: _split(shard, root) for shard in shards}
    if set(splits.values()) == {"train"}:
        splits = dict.fromkeys(shards)
    samples = [(shard, sample) for shard in shards for sample in _samples(shard)]
    if not samples:
        raise InputError(
            f"{place} holds no videos.",
            "Members must be called KEY.mp4, or as another container; a distilled set may hold tensors in their place.",
        )
    names = [_name(sample, numbered, shard) for shard, sample in samples]
    classes = in_order(names) if numbered is None else tuple(numbered.values())
    index = {name: label for label, name in enumerate(classes)}
    videos = [
        Video(f"{shard.relative_to(root).as_posix()}/{sample.id}", sample.medium, index[name], splits[shard], None)
        for (shard, sample), name in zip(samples, names, strict=True)
    ]
    path = Path(place)
    return checked((path if path.exists() else root).resolve().name, NAME, classes, videos, root)


class _Sample(NamedTuple):
    """A video of a shard and what its members say of its class."""

    id: str
    medium: Member
    said: tuple[str, ...]


def _find(place: str) -> tuple[Path, list[Path]]:
    """The folder that ids are relative to, and the shards."""
    path = Path(place)
    if not path.exists() and "{" in place:
        try:
            shards = [Path(name) for name in braceexpand.braceexpand(place)]
        except ValueError as error:
            raise InputError(
                f"{place} is no pattern of shards ({error}).", "Write it as in clips-{000000..000009}.tar."
            ) from error
        for shard in shards:
            if not shard.is_file():
                raise InputError(
                    f"There is no {shard}, which {place} names.", "Bring it there, or name the shards that there are."
                )
        path = Path(place.partition("{")[0] + "x").parent
    else:
        shards = _shards(path)
    if not shards:
        raise InputError(f"{place} has no .tar files.", "`idtd sources` says what a webdataset source looks like.")
    return (path.parent if path.is_file() else path), shards


def _shards(path: Path) -> list[Path]:
    endings = (".tar", *_COMPRESSED)
    if path.is_file():
        return [path] if path.name.lower().endswith(endings) else []
    try:
        inside = [file for name in _FOLDERS if (path / name).is_dir() for file in (path / name).iterdir()]
    except OSError:
        return []
    return sorted(file for file in inside if file.name.lower().endswith(endings) and not file.name.startswith("."))


def _split(shard: Path, root: Path) -> str | None:
    for name in reversed(shard.relative_to(root).parts):
        word = re.match(r"[a-z]*", name.lower())
        if word and word[0] in _SPLITS:
            return _SPLITS[word[0]]
    return None


def _samples(shard: Path) -> Iterator[_Sample]:
    """The videos of a shard. Members of one key follow one another, as the format has it."""
    with tar.File(shard) as file:
        magic = file.read(2)
        file.seek(0)
        if shard.name.lower().endswith(_COMPRESSED) or magic == b"\x1f\x8b":
            raise InputError(
                f"{shard} is compressed, and videos are read where they lie.", f"Unpack it with `gunzip {shard.name}`."
            )
        for _, members in itertools.groupby(_members(file, shard), key=lambda member: member.key):
            videos: list[_Named] = []
            said: list[str] = []
            for member in members:
                ending = PurePosixPath(member.name).suffix.lower()
                if ending in folder.EXTENSIONS:
                    videos.append(member)
                elif member.name == f"{member.key}.cls":
                    said.insert(0, _text(file, member, shard).strip())
                elif member.name == f"{member.key}.json":
                    said.extend(_said(_text(file, member, shard), shard, member.name))
            for member in videos:
                yield _Sample(
                    member.name, Member(shard, member.entry.offset, member.entry.bytes), tuple(filter(None, said))
                )


class _Named(NamedTuple):
    """A plain file in a shard, and the key that it shares with others of its video."""

    key: str
    name: str
    entry: tar.Entry


def _members(file: tar.File, shard: Path) -> Iterator[_Named]:
    """The plain files of a shard, but for hidden ones."""
    for entry in tar.entries(file, shard):
        path = PurePosixPath(relative_id(entry.name, str(shard)))
        if path.name and not path.name.startswith("."):
            yield _Named(str(path.with_name(path.name.partition(".")[0])), str(path), entry)


def _text(file: tar.File, member: _Named, shard: Path) -> str:
    if member.entry.bytes > tar.MOST_TEXT:
        raise InputError(
            f"{shard} has {member.name} of {member.entry.bytes} bytes, which is too long to name a class.",
            "Write the name of the class into it, or its number.",
        )
    try:
        return file.content(member.entry).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{shard} has {member.name}, which is no text in UTF-8.", "Write it in UTF-8.") from error


def _said(text: str, shard: Path, name: str) -> list[str]:
    """What a JSON text says of the class."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shard} has {name}, which is no JSON.", "Write it again as JSON.") from error
    values = [content.get(key) for key in ("class", "label", "cls")] if isinstance(content, dict) else []
    return [str(value).strip() for value in values if type(value) in (str, int)]


def _name(sample: _Sample, numbered: dict[int, str] | None, shard: Path) -> str:
    """The class of a video."""
    if not sample.said:
        raise InputError(f"{shard} does not say of which class {sample.id} is.", "Add KEY.cls or KEY.json to it.")
    name = next((said for said in sample.said if not said.isdecimal()), sample.said[0])
    if len(name) > _NAME_LENGTH:
        raise InputError(
            f"{shard} gives {sample.id} a class of {len(name)} characters, which is no name.",
            "Write the name of the class, or its number.",
        )
    if name.isdecimal():
        name = str(int(name))
    if numbered is None or name in numbered.values():
        return name
    if name.isdecimal() and int(name) in numbered:
        return numbered[int(name)]
    raise InputError(
        f"{shard} gives {sample.id} the class {name}, which is not in classes.txt.",
        "Add it there, or write one of its classes.",
    )
