"""Files that are complete or absent: atomic writes, staged folders, digests."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from idtd_cli.errors import InputError

#: What was done for a folder that can be gone on with.
_JOURNAL = "journal.jsonl"


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
        InputError: a part of the path is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{path} cannot be made: a part of its path is a file.", "Name another folder.") from error


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Build a folder beside its final place and move it there when the block ends well; else remove every trace.

    Raises:
        InputError: `out` already holds something, is the folder that the process is in, lies where none can be made, or
            is being made by another process.
    """
    with _staging(out) as staging:
        if (staging / _JOURNAL).is_file():
            raise InputError(
                f"{staging} holds a folder that is not finished.",
                "Go on with the command that began it, name another folder, or remove that one.",
            )
        # What a killed run left behind: it was never complete and nothing refers to it.
        _empty(staging)
        try:
            yield staging
            _move(staging, out)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


@contextmanager
def resumable_folder(out: Path) -> Iterator[Unfinished]:
    """Like `new_folder`, but what is there when the block fails, or the process is killed, is there again next time.

    Raises:
        InputError: as `new_folder` does.
    """
    with _staging(out) as staging:
        unfinished = Unfinished(staging / "folder", staging / _JOURNAL)
        if not (unfinished.journal.is_file() and unfinished.folder.is_dir()):
            unfinished.discard()
        try:
            yield unfinished
            _move(unfinished.folder, out)
        except BaseException:
            if not unfinished.journal.is_file():  # nothing was done that is worth keeping
                shutil.rmtree(staging, ignore_errors=True)
            raise
        # The journal goes last: killed before this line, the next run finds `out` complete and calls `forget`.
        shutil.rmtree(staging, ignore_errors=True)


@dataclass(frozen=True)
class Unfinished:
    """A folder in the making that outlives its process, and a journal of what was done that is no part of it."""

    folder: Path
    journal: Path

    def discard(self) -> None:
        """Begin anew."""
        self.journal.unlink(missing_ok=True)  # first: without it, what is left is known to be nothing
        _empty(self.folder.parent)
        self.folder.mkdir()


def forget(out: Path) -> None:
    """Remove what a process that was killed in its last moment left beside the finished folder `out`."""
    staging = _staging_path(out.resolve())
    if staging.is_dir():
        with _alone(staging, out):
            shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """A folder beside `out` that this process alone works in."""
    given = out
    _need_empty(out, given)
    try:
        out = out.resolve()  # `.` and `a/..` have no name of their own
    except (OSError, RuntimeError) as error:
        raise InputError(f"{out} is a link that leads nowhere.", "Name another folder.") from error
    if os.path.ismount(out):  # a finished folder cannot be moved there
        raise InputError(f"{given} is a mount point.", "Name a new folder in it.")
    if out == Path.cwd():  # moving another folder there would leave the caller's shell in one that is gone
        raise InputError(f"{given} is the folder that you are in.", "Name a new folder in it.")
    make_folder(out.parent)
    staging = _staging_path(out)
    staging.mkdir(exist_ok=True)
    with _alone(staging, given):
        _need_empty(out, given)  # another process may have finished it in this moment
        yield staging


def _need_empty(out: Path, given: Path) -> None:
    if not is_empty(out):
        raise InputError(f"{given} already holds something else.", "Name an empty or a new folder.")


def _staging_path(out: Path) -> Path:
    return out.parent / f".{out.name}.partial"


@contextmanager
def _alone(folder: Path, out: Path) -> Iterator[None]:
    """Keep other processes out of a folder. The lock ends with its process, however that ends."""
    try:
        import fcntl
    except ImportError:  # Windows cannot lock a folder
        yield
        return
    busy = InputError(f"{out} is being made by another process.", "Wait for it to end, or name another folder.")
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError as error:  # the other one just finished
        raise busy from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise busy from error
        except OSError:
            pass  # a file system without locks
        # The other one may have finished between the two, and a third have begun.
        if not (folder.is_dir() and os.path.samestat(os.fstat(handle), folder.stat())):
            raise busy
        yield
    finally:
        os.close(handle)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _move(staging: Path, out: Path) -> None:
    out = out.resolve()
    if out.exists():
        out.rmdir()
    os.replace(staging, out)
