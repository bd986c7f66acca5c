from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import platform
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli import storage
from idtd_cli.errors import InputError
from tests.tiny import contents


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    storage.write_text(tmp_path / "a" / "b" / "c.txt", "one\r\ntwö\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "one\r\ntwö\n".encode()
    storage.write_bytes(tmp_path / "a" / "b" / "c.txt", b"\0")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == b"\0"
    assert set(contents(tmp_path)) == {"a", "a/b", "a/b/c.txt"}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "file"
    storage.write_bytes(path, b"old")

    def fail(*_: object) -> None:
        assert path.read_bytes() == b"old"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match=rf"No space left on device: '{path}'"):
        storage.write_bytes(path, b"new")
    assert contents(tmp_path) == {"file": storage.sha256_bytes(b"old")}


@given(st.binary(max_size=3000))
def test_digests(data: bytes) -> None:
    assert storage.sha256_bytes(data) == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert storage.sha256_file(tmp_path / "file") == storage.sha256_bytes(data)


def test_empty(tmp_path: Path) -> None:
    assert storage.is_empty(tmp_path / "missing")
    (tmp_path / "folder").mkdir()
    assert storage.is_empty(tmp_path / "folder")
    (tmp_path / "folder" / ".hidden").touch()
    assert not storage.is_empty(tmp_path / "folder")
    assert not storage.is_empty(tmp_path / "folder" / ".hidden")


@pytest.mark.parametrize("exists", [False, True])
def test_a_new_folder_appears_all_at_once(tmp_path: Path, exists: bool) -> None:
    out = tmp_path / "a" / "out"
    if exists:
        out.mkdir(parents=True)
    with storage.new_folder(out) as folder:
        (folder / "file").write_text("x")
        assert storage.is_empty(out)
    assert contents(tmp_path) == {"a": "folder", "a/out": "folder", "a/out/file": storage.sha256_bytes(b"x")}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_new_folder_that_fails_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:

    def write() -> None:
        with storage.new_folder(tmp_path / "out") as folder:
            (folder / "sub").mkdir()
            (folder / "sub" / "file").touch()
            raise error

    with pytest.raises(error):
        write()
    assert contents(tmp_path) == {}


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    die_in(tmp_path / "out", "new_folder", "folder / 'half'")
    assert "half" in str(contents(tmp_path))
    with storage.new_folder(tmp_path / "out") as folder:
        (folder / "whole").touch()
    assert set(contents(tmp_path)) == {"out", "out/whole"}


def test_an_unfinished_folder_outlives_its_process(tmp_path: Path) -> None:
    die_in(tmp_path / "out", "resumable_folder", "folder.journal")
    fail_in(tmp_path / "out")
    with storage.resumable_folder(tmp_path / "out") as unfinished:
        (unfinished.folder / "b").touch()
    assert set(contents(tmp_path)) == {"out", "out/a", "out/b"}


def test_an_unfinished_folder_without_a_journal_is_nothing(tmp_path: Path) -> None:
    fail_in(tmp_path / "out")
    assert contents(tmp_path) == {}


def fail_in(out: Path) -> None:
    """Write a file into an unfinished folder, then fail."""

    def make() -> None:
        with storage.resumable_folder(out) as unfinished:
            (unfinished.folder / "a").touch()
            raise KeyError

    with pytest.raises(KeyError):
        make()


def test_what_another_command_did_not_finish_is_left_alone(tmp_path: Path) -> None:
    die_in(tmp_path / "out", "resumable_folder", "folder.journal")
    before = contents(tmp_path)
    del before[".out.partial/lock"]  # of the process that is no more
    with pytest.raises(InputError, match="holds a folder that is not finished"), storage.new_folder(tmp_path / "out"):
        pytest.fail("the block ran")
    assert contents(tmp_path) == before


def test_a_journal_without_its_folder_is_nothing(tmp_path: Path) -> None:
    die_in(tmp_path / "out", "resumable_folder", "folder.journal")
    (tmp_path / ".out.partial" / "folder").rmdir()
    with storage.resumable_folder(tmp_path / "out") as unfinished:
        assert not unfinished.journal.exists()
        assert unfinished.folder.is_dir()


def test_a_mount_point_is_no_place_for_a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path / "out")
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="is a mount point"):
        storage.new_folder(tmp_path / "out").__enter__()
    assert set(contents(tmp_path)) == {"out"}


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "out")
    with pytest.raises(InputError):
        storage.new_folder(tmp_path / "out").__enter__()


def test_what_a_process_leaves_in_its_last_moment_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "journal.jsonl").touch()
    storage.forget(tmp_path / "out")
    storage.forget(tmp_path / "out")
    assert set(contents(tmp_path)) == {"out"}


@pytest.mark.parametrize("kind", ["new_folder", "resumable_folder"])
def test_two_processes_do_not_make_one_folder(tmp_path: Path, kind: str) -> None:
    with getattr(storage, kind)(tmp_path / "out"):
        code = f"""
            from idtd_cli import errors, storage
            try:
                with storage.{kind}(Path("out")):
                    pass
            except errors.InputError as error:
                sys.exit(error.message)
        """
        other = python(tmp_path, code)
        assert other.returncode == 1
        assert other.stderr.strip() == f"out is being made by process {os.getpid()} on {platform.node()}."
    assert (tmp_path / "out").is_dir()


def die_in(out: Path, kind: str, leaves: str) -> None:
    """Kill a process that makes a folder, after it has written a file."""
    code = f"""
        from idtd_cli import storage
        with storage.{kind}(Path("{out.name}")) as folder:
            ({leaves}).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert python(out.parent, code).returncode == -signal.SIGKILL


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    head = "import os, signal, sys\nfrom pathlib import Path\n"
    program = head + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_is_there_is_not_touched(tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    if what == "folder":
        out.mkdir()
        (out / "thesis.tex").touch()
    else:
        out.touch()
    before = contents(tmp_path)
    with pytest.raises(InputError, match="already holds something else"), storage.new_folder(out):
        pytest.fail("the block ran")
    assert contents(tmp_path) == before


def test_a_folder_cannot_be_made_under_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "out", tmp_path / "file" / "deep" / "out"):
        with pytest.raises(InputError, match="cannot be made"), storage.new_folder(out):
            pytest.fail("the block ran")
    assert set(contents(tmp_path)) == {"file"}


@pytest.mark.parametrize("name", [".", "../here", "sub/.."])
def test_the_folder_that_one_is_in_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Its shell would be left in a folder that is no more."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(InputError, match="is the folder that you are in"), storage.new_folder(Path(name)):
        pytest.fail("the block ran")
    assert contents(tmp_path) == {"here": "folder"}


def test_a_relative_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with storage.new_folder(Path("a/../out")) as folder:
        (folder / "file").touch()
    assert (tmp_path / "out" / "file").is_file()


def test_a_link_to_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with storage.new_folder(tmp_path / "link") as folder:
        (folder / "file").touch()
    assert (tmp_path / "real" / "file").is_file()
    assert (tmp_path / "link").is_symlink()


def test_a_lock_whose_folder_goes_at_this_moment_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process before this one leaves between the two steps by which this one comes."""
    opened, left = storage.os.open, []

    def leaving(path: Any, flags: int, mode: int = 0o777) -> int:
        if Path(path).name == "lock" and not left:
            left.append(path)
            Path(path).parent.rmdir()
        return opened(path, flags, mode)

    monkeypatch.setattr(storage.os, "open", leaving)
    said: list[str] = []
    with storage.alone(tmp_path / "out", said.append) as scratch:
        assert scratch is not None
        assert left
    assert said == []


def test_a_growing_folder_keeps_what_came_into_it_and_is_gone_if_nothing_did(tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"

    def grow(*names: str) -> None:
        with storage.growing_folder(out) as scratch:
            assert scratch is not None
            (scratch / "needed").touch()
            storage.make_folder(out)
            for name in names:
                (out / name).touch()
            raise KeyError

    with pytest.raises(KeyError):
        grow()
    assert contents(tmp_path) == {}
    with pytest.raises(KeyError):
        grow("first")
    assert set(contents(tmp_path)) == {"a", "a/out", "a/out/first"}
    with pytest.raises(KeyError):
        grow("second")
    assert set(contents(tmp_path)) == {"a", "a/out", "a/out/first", "a/out/second"}


def test_an_empty_folder_of_somebody_is_not_taken_away(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with storage.growing_folder(tmp_path / "out"):
        pass
    assert contents(tmp_path) == {"out": "folder"}


def lock_fails(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A lock's file cannot be opened for writing."""
    opened = storage.os.open

    def refusing(path: Any, flags: int, mode: int = 0o777) -> int:
        if Path(path).name == "lock":
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, flags, mode)

    monkeypatch.setattr(storage.os, "open", refusing)


KINDS = ["new_folder", "resumable_folder", "growing_folder"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_another_user_is_making_is_left_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    staging = tmp_path / ".out.partial"
    staging.mkdir()
    (staging / "lock").touch()
    before = contents(tmp_path)
    lock_fails(monkeypatch, errno.EACCES)
    words = rf"\.out\.partial is \S+'s, and you may not write there: a command of theirs is making {tmp_path / 'out'}"
    with pytest.raises(InputError, match=words), getattr(storage, kind)(tmp_path / "out"):
        pytest.fail("the block ran")
    assert contents(tmp_path) == before


def test_a_system_that_forbids_locks_is_not_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: int) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(fcntl, "flock", flock)
    said: list[str] = []
    with storage.growing_folder(tmp_path / "out", said.append):
        pass
    assert said == [
        f"{tmp_path / 'out'} cannot be locked (Permission denied): see to it that no other command writes there."
    ]
    assert contents(tmp_path) == {}


def test_a_user_without_a_name_has_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(_: Path) -> str:
        raise KeyError

    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "lock").touch()
    monkeypatch.setattr(Path, "owner", nameless)
    lock_fails(monkeypatch, errno.EACCES)
    with pytest.raises(InputError, match=rf"is user {os.getuid()}'s"), storage.alone(tmp_path / "out"):
        pytest.fail("the block ran")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_too_full_for_the_lock_holds_nothing_of_it_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, number: int
) -> None:
    lock_fails(monkeypatch, number)
    with pytest.raises(OSError, match=rf"{os.strerror(number)}: '.*lock'"), getattr(storage, kind)(tmp_path / "a/out"):
        pytest.fail("the block ran")
    assert contents(tmp_path) == {}


def test_a_disk_too_full_for_the_name_in_the_lock_is_locked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(storage.os, "pwrite", full)
    with storage.alone(tmp_path / "out"):
        code = """
            from idtd_cli import errors, storage
            try:
                storage.alone(Path("out")).__enter__()
            except errors.InputError as error:
                sys.exit(error.message)
        """
        assert python(tmp_path, code).stderr.strip() == "out is being made by another process."
    assert contents(tmp_path) == {}


def test_what_another_user_left_beside_a_finished_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial" / "journal.jsonl").touch()
    before = contents(tmp_path)
    monkeypatch.setattr(storage.os, "access", lambda *_: False)
    storage.forget(tmp_path / "out")
    assert contents(tmp_path) == before
