"""Where the bytes of a video are: a file, a member of a tar, a folder of stills, or an address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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


@dataclass(frozen=True)
class Stills:
    """A folder with one picture file a frame, in the natural order of their names (frame2 before frame10)."""

    folder: Path

    def exists(self) -> bool:
        return self.folder.is_dir()

    def size(self) -> int:
        """Bytes of all its files."""
        return sum(entry.stat().st_size for entry in self.folder.iterdir() if entry.is_file())


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


Medium = File | Member | Stills | Address
