"""Where the bytes of a video are: a file, a member of a tar, a folder of stills, or an address."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

#: Files with these extensions are stills; others in their folder are left alone.
PICTURES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp"))
#: Where an address may lead. Among fsspec's other schemes are some that run commands or open archives.
_SCHEMES = ("http", "https", "s3", "gs", "hf", "memory")


@dataclass(frozen=True)
class File:
    """A video file."""

    path: Path

    def exists(self) -> bool:
        return self.path.is_file()

    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size


@dataclass(frozen=True)
class Member:
    """A video file inside an uncompressed tar: `bytes` of them, from `offset` on."""

    tar: Path
    offset: int
    bytes: int

    def exists(self) -> bool:
        return self.tar.is_file()

    def size(self) -> int:
        """Bytes."""
        return self.bytes

    def open(self) -> BinaryIO:
        """The member as a file of its own, read in place."""
        return _Window(open(self.tar, "rb"), self.offset, self.bytes)  # type: ignore[return-value]


@dataclass(frozen=True)
class Stills:
    """A folder with one picture file a frame, in the natural order of their names (frame2 before frame10)."""

    folder: Path

    def exists(self) -> bool:
        return self.folder.is_dir()

    def size(self) -> int:
        """Bytes of all its files."""
        return sum(entry.stat().st_size for entry in self.folder.iterdir() if entry.is_file())

    def pictures(self) -> list[Path]:
        """Its picture files, in order.

        Raises:
            OSError: the folder cannot be read.
        """
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries if is_picture(entry.name) and entry.is_file()]
        return [self.folder / name for name in sorted(names, key=_natural)]

    def series(self) -> Counter[str]:
        """How many of its numbered pictures share which beginning of their names: flow_x_0001 → flow_x_."""
        numbered = (re.fullmatch(r"(.*?)\d+", path.stem) for path in self.pictures())
        return Counter(match[1] for match in numbered if match)


@dataclass(frozen=True)
class Address:
    """A video file that fsspec opens: s3://…, hf://…"""

    url: str
    bytes: int  #: its size, asked for once when the source was listed

    def exists(self) -> bool:
        return True

    def size(self) -> int:
        """Bytes."""
        return self.bytes

    def open(self) -> BinaryIO:
        """The file, read over the network piece by piece.

        Raises:
            ValueError: it leads to a place that is not opened, on this machine for one.
            Exception: it cannot be opened; each of fsspec's file systems has errors of its own.
        """
        scheme, mark, rest = self.url.partition("://")
        # `a::b` is fsspec's way to chain file systems, any of them.
        if not mark or scheme not in _SCHEMES or "::" in rest:
            raise ValueError(f"an address must begin with one of {', '.join(f'{name}://' for name in _SCHEMES)}")
        import fsspec  # type: ignore[import-untyped]  # slow to load

        file: BinaryIO = fsspec.open(self.url, "rb", expand=False).open()
        return file


Medium = File | Member | Stills | Address


def is_picture(name: str) -> bool:
    """Whether a file of this name is a still."""
    return not name.startswith(".") and Path(name).suffix.lower() in PICTURES


def _natural(name: str) -> tuple[list[str | int], str]:
    # Text and numbers take turns, so that like is compared with like.
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", name))], name


class _Window(io.RawIOBase):
    """`size` bytes of a file from `start` on, as a read-only file. Closing it closes the file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._place = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        place = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence] + offset
        if place < 0:
            raise ValueError("before the start of the file")
        self._place = place
        return place

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)[: max(0, self._size - self._place)]
        self._file.seek(self._start + self._place)
        read = self._file.readinto(view)  # type: ignore[attr-defined]
        self._place += read
        return int(read)

    def close(self) -> None:
        self._file.close()
        super().close()
