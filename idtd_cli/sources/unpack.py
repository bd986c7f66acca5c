"""Unpacking an archive that somebody else made: nothing lands outside of the folder, and no more than is plausible."""

from __future__ import annotations

import errno
import shutil
import stat
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import rarfile

from idtd_cli.errors import IdtdError, InputError
from idtd_cli.sources.source import relative_id

if TYPE_CHECKING:
    from idtd_cli.runlog import Progress, Task

_KINDS = (".zip", ".rar")
_PIECE = 1 << 20
#: Videos are compressed already: an archive of them holds about its own size. Lists of names shrink to a tenth.
_RATIO, _SLACK = 4, 64 << 20
#: What a file takes of a disk at least, and a folder.
_BLOCK = 4096
#: Those that owners use, and that take no memory of the archive's choice.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NO_ARCHIVE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, rarfile.Error, EOFError),
    *(RuntimeError, ValueError, LookupError, OverflowError, MemoryError, TypeError, AttributeError),
)
#: What a system says of a name that it cannot give to a file, and of a place in an archive that is none.
_NO_NAME = {
    *(None, errno.EINVAL, errno.ENAMETOOLONG, errno.EILSEQ),
    *(errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOENT),
}


#: The members of an archive in its order, and what opens one. They must be read in that order, and whole.
_Opened = tuple[Sequence["_Member"], Callable[[Any], AbstractContextManager[IO[bytes]]]]


class _Member(Protocol):
    """What zipfile and rarfile both say of a member."""

    @property
    def filename(self) -> str: ...
    @property
    def file_size(self) -> int: ...
    @property
    def CRC(self) -> int | None: ...
    def is_dir(self) -> bool: ...


def need_tool(names: Sequence[str], where: Path) -> None:
    """Make sure that archives of these names can be unpacked on this machine.

    Raises:
        InputError: one of them is a rar, and there is no tool for these.
    """
    rars = [name for name in names if name.endswith(".rar")]
    if rars:
        try:
            # bsdtar reads no solid rar, and rarfile calls it in a way that it does not understand.
            rarfile.tool_setup(bsdtar=False, force=True)
        except rarfile.RarCannotExec as error:
            raise InputError(
                f"No tool on this machine unpacks {rars[0]}.",
                f"Install unrar, unar or 7-Zip, and run the command again; what is in {where} is kept.",
            ) from error


def unpack(archive: Path, folder: Path, *, top: str, nested: bool, progress: Progress) -> None:
    """Unpack a zip or a rar.

    Args:
        archive: the file; its ending says what it is.
        folder: where to; it exists. Links are refused, and folders without files left out.
        top: the folder in the archive whose contents are wanted; others are left out. All of it if empty.
        nested: it holds archives: these are unpacked into the folder in its stead.
        progress: is told of every file.

    Raises:
        InputError: a member's name leads out of the folder.
        IdtdError: the archive is damaged or holds more than it plausibly can, or no tool can read it.
        OSError: a file could not be written.
    """
    with progress.stage(f"unpack {archive.name}", None) as task:
        if not nested:
            _unpack(archive, folder, top, task)
            return
        outer = folder / ".nested"
        outer.mkdir()
        _unpack(archive, outer, top, task)
        for path in sorted(outer.rglob("*")):
            if path.suffix in _KINDS and path.is_file():
                _unpack(path, folder, "", task)
                path.unlink()  # at once: the disk need not hold all of both
        shutil.rmtree(outer)


def _unpack(archive: Path, folder: Path, top: str, task: Task) -> None:
    written = 0
    try:
        with _opened(archive) as (members, stream):
            held, limit = sum(map(_taken, members)), _RATIO * archive.stat().st_size + _SLACK
            if held > limit:
                raise IdtdError(
                    f"{archive} claims to hold {held} bytes, far more than an archive of videos can.",
                    "Remove it, and take it from its owner.",
                )
            for member in members:
                if member.is_dir():
                    continue
                name = relative_id(member.filename, str(archive))
                if name == ".":
                    raise _damaged(archive, f"it has a file called {member.filename!r}")
                target = _target(folder, name, top)
                with stream(member) as source:
                    _copy(source, member, target, archive)
                written += target is not None
                task.advance()
    except _NO_ARCHIVE as error:
        raise _damaged(archive, str(error) or type(error).__name__) from error
    except OSError as error:
        if error.errno not in _NO_NAME:
            raise
        raise _damaged(
            archive, f"{error.strerror or error}, {error.filename or 'in its list of members'}"[:300]
        ) from error
    if not written:
        raise IdtdError(
            f"{archive} holds no files" + (f" in a folder {top}." if top else "."),
            "Its owner has changed it: unpack it by hand, into the folder of the videos.",
        )


def _taken(member: _Member) -> int:
    """Bytes of the disk, counting the folders that it may need."""
    return max(member.file_size, _BLOCK) + _BLOCK * member.filename.count("/")


def _target(folder: Path, name: str, top: str) -> Path | None:
    """Where a member goes; None for one that is not wanted."""
    if not top:
        return folder / name
    return folder / name.removeprefix(f"{top}/") if name.startswith(f"{top}/") else None


def _copy(source: IO[bytes], member: _Member, target: Path | None, archive: Path) -> None:
    """Copy as many bytes as the member has, and check them; without a target, read past them."""
    left, crc = member.file_size, 0
    file = None
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = open(target, "xb")  # noqa: SIM115 - closed below
    try:
        while left:
            piece = source.read(min(left, _PIECE))
            if not piece:
                raise _damaged(archive, f"{member.filename} ends early")
            left, crc = left - len(piece), zlib.crc32(piece, crc)
            if file is not None:
                file.write(piece)
    finally:
        if file is not None:
            file.close()
    if member.CRC is not None and crc != member.CRC:
        raise _damaged(archive, f"{member.filename} has a wrong checksum")


def _damaged(archive: Path, why: str) -> IdtdError:
    # The digest was right: more likely than damage is a tool without what it takes, as Debian's 7-Zip is.
    hint = "Install unrar, or unar: not every tool reads every rar." if archive.suffix == ".rar" else "Remove it."
    return IdtdError(f"{archive} cannot be unpacked: {why}.", hint)


def _link(archive: Path, member: _Member) -> IdtdError:
    return IdtdError(
        f"{archive} holds a link or a device, {member.filename}, which has no place among videos.",
        "Remove it, and take it from its owner.",
    )


@contextmanager
def _opened(archive: Path) -> Iterator[_Opened]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise _link(archive, member)
                if member.compress_type not in _METHODS:
                    raise _damaged(archive, f"{member.filename} is packed in a way that only few zips are")
            yield file.infolist(), file.open
    else:
        with _rar(archive) as opened:
            yield opened


@contextmanager
def _rar(archive: Path) -> Iterator[_Opened]:
    """A rar, which a tool writes to a pipe in one go, one member after another.

    One process an archive, and not one a member as `rarfile` has it: in a solid archive each would begin at the first
    member again. And the tool itself writes no file: what lands where is decided here alone.
    """
    need_tool([archive.name], archive.parent)
    with rarfile.RarFile(archive, errors="strict") as file:  # by default a damaged list of members is a short one
        members = file.infolist()
    for member in members:
        if not member.is_dir() and (not member.is_file() or member.file_redir is not None):
            raise _link(archive, member)
    command = rarfile.tool_setup().open_cmdline(None, str(archive.absolute()))
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet) as process:
        assert process.stdout is not None
        pipe = nullcontext(process.stdout)
        try:
            yield members, lambda _: pipe
        finally:
            process.kill()
