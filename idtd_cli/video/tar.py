"""Tar files from outside: which plain files one holds, and where in it they lie. Nothing is unpacked."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from idtd_cli.errors import InputError

#: Bytes that a header, or a text, may have.
MOST_TEXT = 1 << 20


class Entry(NamedTuple):
    """A plain file in a tar."""

    name: str
    offset: int
    bytes: int


class File(io.BufferedReader):
    """A tar that gives no more at once than a header or text may have: a header can claim one of many gigabytes."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MOST_TEXT:
            raise tarfile.ReadError("a header is too long")
        return super().read(size)


def entries(file: File, path: Path, plain_alone: bool = False) -> Iterator[Entry]:
    """The plain files of a tar, in order; links, folders and sparse files are passed over.

    Between two of them the file may be read elsewhere.

    Args:
        file: the tar, opened.
        path: what it is called.
        plain_alone: links, folders and sparse files are refused instead.

    Raises:
        InputError: it is no tar, or a damaged one, or holds what is refused.
    """
    again = "Copy or write it again."
    end = 0
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
                if info.offset < end or info.size < 0:  # a header that leads back would be read for ever
                    raise InputError(f"{path} is damaged at byte {info.offset}.", again)
                end = info.offset + 1
                if info.isreg() and not info.issparse():
                    yield Entry(info.name, info.offset_data, info.size)
                elif plain_alone:
                    raise InputError(f"{path} holds {info.name[:100]!r}, which is no plain file.", again)
            # The end is marked by zeros, or by nothing at all: else reading stopped at something that is no header.
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise InputError(f"{path} is damaged at byte {tar.offset}.", again)
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as error:
        raise InputError(f"{path} is no readable tar file ({error}).", again) from error
