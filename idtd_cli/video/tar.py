"""Tar files from outside: which plain files one holds, and where in it they lie. Nothing is unpacked."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from idtd_cli.errors import InputError

#: Bytes that a header, or a text, may have.
MOST_TEXT = 1 << 20


#: Records of an extended header; a global one holds for every member that follows, and is looked through for each.
_MOST_RECORDS = 1000
_RECORD = re.compile(rb"([1-9]\d{0,6}) [^=]{1,200}=")
#: No number in a header has as many digits. Python's own pattern for them takes the square of their count in steps.
_DIGITS = re.compile(rb"\d{100}")
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)


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

    def content(self, entry: Entry) -> bytes:
        """What a member holds. It may have no more bytes than a text."""
        self.seek(entry.offset)
        return self.read(entry.bytes)


class _Info(tarfile.TarInfo):
    """A header that is read with care: in Python's own hands one of a megabyte can take hours, or all memory."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """The method that tarfile has for subclasses to override: reads what belongs to a header, and the next one."""
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError("it holds a sparse file")
        if self.type in _EXTENDED:
            assert archive.fileobj is not None
            here = archive.fileobj.tell()
            keys = _keys(archive.fileobj.read(max(self.size, 0)))
            archive.fileobj.seek(here)
            if self.type == tarfile.XGLTYPE and len(archive.pax_headers) + len(keys) > _MOST_RECORDS:
                raise tarfile.ReadError("its global headers have too many records")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return member


def _keys(data: bytes) -> list[bytes]:
    """The keys of the records of an extended header: `LENGTH KEY=VALUE` and a line end, of this very length each."""
    keys: list[bytes] = []
    at = 0
    while at < len(data):
        match = _RECORD.match(data, at)
        end = at + int(match[1]) if match else 0
        if match is None or end <= match.end() or data[end - 1 : end] != b"\n" or len(keys) == _MOST_RECORDS:
            raise tarfile.ReadError("an extended header is malformed")
        keys.append(data[match.end(1) + 1 : match.end() - 1])
        if keys[-1].startswith(b"GNU.sparse."):
            raise tarfile.ReadError("it holds a sparse file")
        at = end
    if _DIGITS.search(data):
        raise tarfile.ReadError("an extended header is malformed")
    return keys


def entries(file: File, path: Path, plain_alone: bool = False) -> Iterator[Entry]:
    """The plain files of a tar, in order; links and folders are passed over.

    Between two of them the file may be read elsewhere.

    Args:
        file: the tar, opened.
        path: what it is called.
        plain_alone: links and folders are refused instead.

    Raises:
        InputError: it is no tar, or a damaged one, or holds a sparse file or what else is refused.
    """
    again = "Copy or write it again."
    end = 0
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_Info) as tar:
            # In a tar of no members Python 3.10 must not look for one again: it would seek to before the beginning.
            for info in iter(tar.next, None) if tar.firstmember else ():  # type: ignore[attr-defined]
                tar.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
                if info.offset < end or info.size < 0:  # a header that leads back would be read for ever
                    raise InputError(f"{path} is damaged at byte {info.offset}.", again)
                end = info.offset + 1
                if info.isreg():
                    yield Entry(info.name, info.offset_data, info.size)
                elif plain_alone:
                    raise InputError(f"{path} holds {info.name[:100]!r}, which is no plain file.", again)
            # The end is marked by zeros, or by nothing at all: else reading stopped at something that is no header.
            file.seek(tar.offset)
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise InputError(f"{path} is damaged at byte {tar.offset}.", again)
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError, OSError) as error:
        raise InputError(f"{path} is no readable tar file ({error}).", again) from error
