"""Files that are complete or absent: atomic writes, staged folders, digests; one process at a time in a folder.

What a command that makes a folder NAME needs on its way lies beside it in `.NAME.partial`, and is gone when it ends
well: `folder`, which becomes NAME; `journal.jsonl`, what was done for one that can be gone on with; `lock`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from idtd_cli.errors import InputError

_FOLDER, _JOURNAL, _LOCK = "folder", "journal.jsonl", "lock"
#: What the system says where one may not write.
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
#: What this process keeps others out of.
_held: set[Path] = set()


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file in one step: a reader sees the old bytes or the new ones, also after a crash.

    Raises:
        OSError: the file cannot be written; the old one is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a write that fails says why, and not where
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for text, in UTF-8 with the line ends given."""
    write_bytes(path, text.encode())


def sha256_bytes(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Digest of a file, read in pieces: memory stays bounded whatever its size."""
    digest = hashlib.sha256()  # hashlib.file_digest needs Python 3.11
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def copy(source: Path, target: Path) -> str:
    """Copy a file's bytes into a new file, in pieces; gives their sha256."""
    digest = hashlib.sha256()
    with open(source, "rb") as read, open(target, "xb") as written:
        while piece := read.read(1 << 20):
            digest.update(piece)
            written.write(piece)
    return digest.hexdigest()


def is_empty(folder: Path) -> bool:
    """True for a path that does not exist and for a folder without entries."""
    return not folder.exists() or (folder.is_dir() and next(folder.iterdir(), None) is None)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless they are there.

    Raises:
        InputError: a part of the path is a file, or lies where none may be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{path} cannot be made: a part of its path is a file.", "Name another folder.") from error
    except OSError as error:
        if error.errno in _FORBIDDEN:
            raise InputError(f"{path} cannot be made ({error.strerror}).", "Name another folder.") from error
        raise


def _say_nothing(_: str) -> None:
    pass


@contextmanager
def new_folder(out: Path, say: Callable[[str], None] = _say_nothing) -> Iterator[Path]:
    """Build a folder beside its final place and move it there when the block ends well; else remove every trace.

    Args:
        out: the final place.
        say: is told if nothing keeps other processes out meanwhile.

    Raises:
        InputError: `out` already holds something, is the folder that the process is in, lies where none can be made, or
            is being made by another process.
    """
    with _staging(out, say) as staging:
        if (staging / _JOURNAL).is_file():
            raise InputError(
                f"{staging} holds a folder that is not finished.",
                "Go on with the command that began it, name another folder, or remove that one.",
            )
        folder = staging / _FOLDER
        # What a killed run left behind: it was never complete and nothing refers to it.
        _make_anew(folder)
        try:
            yield folder
            _move(folder, out)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                error.filename = error.filename or str(out)  # a write that fails says why, and not where
            raise


@contextmanager
def resumable_folder(out: Path, say: Callable[[str], None] = _say_nothing) -> Iterator[Unfinished]:
    """Like `new_folder`, but what is there when the block fails, or the process is killed, is there again next time.

    Raises:
        InputError: as `new_folder` does.
    """
    with _staging(out, say) as staging:
        unfinished = Unfinished(staging / _FOLDER, staging / _JOURNAL)
        if not (unfinished.journal.is_file() and unfinished.folder.is_dir()):
            unfinished.discard()
        yield unfinished
        _move(unfinished.folder, out)
        # The journal goes last: killed before this line, the next run finds `out` complete and calls `forget`.
        unfinished.journal.unlink(missing_ok=True)


@contextmanager
def growing_folder(out: Path, say: Callable[[str], None] = _say_nothing) -> Iterator[Path | None]:
    """Fill a folder bit by bit where it lies, alone: what is there when the block fails is gone on with next time.

    A folder that the block made is removed if it is empty in the end. Gives what `alone` does.

    Raises:
        InputError: as `alone` does.
    """
    place = _resolved(out)
    new = not place.exists()
    with alone(out, say) as scratch:
        try:
            yield scratch
        finally:
            if new:
                with suppress(OSError):  # it holds something, or was never made
                    place.rmdir()


@dataclass(frozen=True)
class Unfinished:
    """A folder in the making that outlives its process, and a journal of what was done that is no part of it."""

    folder: Path
    journal: Path

    def discard(self) -> None:
        """Begin anew."""
        self.journal.unlink(missing_ok=True)  # first: without it, what is left is known to be nothing
        _make_anew(self.folder)


def forget(out: Path) -> None:
    """Remove what a process that was killed in its last moment left beside the finished folder `out`."""
    staging = _staging_path(out.resolve())
    if staging.is_dir() and os.access(staging, os.W_OK | os.X_OK):  # another user's is theirs to remove
        with alone(out):
            (staging / _JOURNAL).unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a process that was killed while it replaced a file of a folder left of the new one."""
    for path in folder.rglob(".*.partial"):
        if path.is_file():
            path.unlink()


@contextmanager
def alone(out: Path, say: Callable[[str], None] = _say_nothing) -> Iterator[Path | None]:
    """Keep other processes out of a folder, be it there or not, until the block or this process ends, however it ends.

    Gives a folder for what is needed on the way, or None if there can be none; it goes with the block, or where this
    process is killed, with that of the next.

    Args:
        out: the folder.
        say: is told if there is no way to keep them out.

    Raises:
        InputError: another process or user is at work on it, or a part of the path is a file.
    """
    staging = _staging_path(_resolved(out))
    if staging in _held:
        yield staging
        return
    with _parents(staging), ExitStack() as stack:
        try:
            handle = _open_lock(staging)
            stack.callback(os.close, handle)
            _lock(handle, staging, out)
        except (OSError, ImportError) as error:
            with suppress(OSError):  # one that is empty is nobody's
                staging.rmdir()
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise
            # A name is that of the file, which cannot be opened; a system without locks has none to tell.
            if isinstance(error, OSError) and error.errno in _FORBIDDEN and error.filename and staging.is_dir():
                raise _somebody_elses(staging, out) from error
            reason = getattr(error, "strerror", None) or "this system has no locks"
            say(f"{out} cannot be locked ({reason}): see to it that no other command writes there.")
        _held.add(staging)
        try:
            yield staging if os.access(staging, os.W_OK | os.X_OK) else None
        finally:
            _held.remove(staging)
            _leave(staging)


@contextmanager
def _parents(path: Path) -> Iterator[None]:
    """Make the folders above a path; those that were made and are empty in the end are removed again."""
    made = [folder for folder in path.parents if not folder.exists()]
    make_folder(path.parent)
    try:
        yield
    finally:
        for folder in made:
            with suppress(OSError):  # it holds something
                folder.rmdir()


def _open_lock(staging: Path) -> int:
    """The lock's file, in a folder that another process may just be removing because it leaves."""
    for _ in range(100):
        with suppress(FileNotFoundError):
            staging.mkdir(parents=True, exist_ok=True)
            return os.open(staging / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    return os.open(staging / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)


def _lock(handle: int, staging: Path, out: Path) -> None:
    """
    Raises:
        InputError: another process has the lock.
        OSError: the file system has no locks.
        ImportError: the system has none.
    """
    import fcntl

    # A file, and open for writing: on NFS a folder cannot be locked.
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The other one may have finished between the two, and a third have begun.
        mine = os.path.samestat(os.fstat(handle), (staging / _LOCK).stat())
    except (BlockingIOError, FileNotFoundError):
        mine = False
    if not mine:
        who = os.pread(handle, 300, 0).decode(errors="replace").strip() or "another process"
        raise InputError(f"{out} is being made by {who}.", "Wait for it to end, or name another folder.")
    os.ftruncate(handle, 0)
    with suppress(OSError):  # on a full disk: it is held all the same
        os.pwrite(handle, f"process {os.getpid()} on {platform.node()}".encode(), 0)


def _somebody_elses(staging: Path, out: Path) -> InputError:
    try:
        whose = staging.owner()
    except (KeyError, OSError):  # no name is known for the number
        whose = f"user {staging.stat().st_uid}"
    return InputError(
        f"{staging} is {whose}'s, and you may not write there: a command of theirs is making {out}, or was stopped.",
        "Wait for it to end, have that folder removed, or name another one.",
    )


def _leave(staging: Path) -> None:
    """Remove what is beside a folder, unless it can be gone on with. The lock goes last: nobody else is here before."""
    if not (staging / _JOURNAL).is_file():
        for path in list(staging.iterdir()) if staging.is_dir() else []:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _LOCK:
                path.unlink(missing_ok=True)
    with suppress(OSError):
        (staging / _LOCK).unlink()
        staging.rmdir()


@contextmanager
def _staging(out: Path, say: Callable[[str], None]) -> Iterator[Path]:
    """A folder beside `out` that this process alone works in."""
    _need_empty(out, out)
    place = _resolved(out)
    if os.path.ismount(place):  # a finished folder cannot be moved there
        raise InputError(f"{out} is a mount point.", "Name a new folder in it.")
    if place == Path.cwd():  # moving another folder there would leave the caller's shell in one that is gone
        raise InputError(f"{out} is the folder that you are in.", "Name a new folder in it.")
    staging = _staging_path(place)
    with _parents(staging):
        try:
            staging.mkdir(exist_ok=True)
        except OSError as error:
            if error.errno in _FORBIDDEN:
                raise InputError(f"{out} cannot be made ({error.strerror}).", "Name another folder.") from error
            raise
        with alone(out, say):
            _need_empty(place, out)  # another process may have finished it in this moment
            yield staging


def _resolved(out: Path) -> Path:
    try:
        resolved = out.resolve()  # `.` and `a/..` have no name of their own
        if resolved.is_symlink():  # links in a circle, of which Python says nothing from 3.13 on
            resolved.stat()
        return resolved
    except (OSError, RuntimeError) as error:
        raise InputError(f"{out} is a link that leads nowhere.", "Name another folder.") from error


def _need_empty(out: Path, given: Path) -> None:
    if not is_empty(out):
        raise InputError(f"{given} already holds something else.", "Name an empty or a new folder.")


def _staging_path(out: Path) -> Path:
    return out.parent / f".{out.name}.partial"


def _make_anew(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _move(folder: Path, out: Path) -> None:
    out = out.resolve()
    if out.exists():
        out.rmdir()
    os.replace(folder, out)
