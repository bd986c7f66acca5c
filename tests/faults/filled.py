"""A command on a small disk of its own, which is full at one write after the other, and read-only in the end.

Run under `unshare -Urm`, where everybody may mount: python -m tests.faults.filled COMMAND DISK SOURCE BESIDE
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from itertools import count
from pathlib import Path

from idtd_cli.cli import app
from tests import hub_server
from tests.tiny import contents

#: What tells of the time, and differs from run to run.
_TIMED = ("out/report.json", "out/scores.jsonl")


def idtd(arguments: list[str]) -> tuple[object, str]:
    """Exit code and talk of a command."""
    talk = io.StringIO()
    sys.argv = ["idtd", *arguments]
    with redirect_stderr(talk), redirect_stdout(io.StringIO()):
        try:
            app.main()
        except SystemExit as left:
            return left.code, talk.getvalue()
    raise AssertionError


def mount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", disk], check=True)


def check(disk: Path, arguments: list[str], pages: int) -> tuple[int, int]:
    """How often the disk was full at a new file, and at a write into one.

    Args:
        disk: where it is mounted.
        arguments: of the command, which makes DISK/out.
        pages: how much more room there is each time.
    """
    _, undisturbed = once(disk, arguments, "size=64m")
    assert undisturbed
    times = []
    for room in ("size=64m,nr_inodes={}", "size={}k"):
        times.append(0)
        step = 1 if "inodes" in room else 4 * pages
        for number in count(1):
            options = room.format(1 + step * number)
            full, found = once(disk, arguments, options)
            assert found == undisturbed, options
            if not full:
                break
            times[-1] += 1
    mount(disk, "size=64m")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    code, said = idtd(arguments)
    assert code in (1, 2), said
    assert "Read-only file system" in said.splitlines()[-1], said
    assert "Traceback" not in said
    subprocess.run(["umount", disk], check=True)
    return times[0], times[1]


def once(disk: Path, arguments: list[str], room: str) -> tuple[bool, dict[str, str]]:
    """Whether a disk with so much room was too small for a command; what is there in the end, once it has more."""
    mount(disk, room)
    try:
        code, said = idtd(arguments)
        if full := code != 0:
            where = f"{room}: {said}"
            assert code == 1, where
            last = said.splitlines()[-1]
            assert last.startswith("idtd: "), where
            assert "disk is full" in last or "No space left" in last, where
            assert "Traceback" not in said, where
            out = disk / "out"
            assert arguments[0] in ("distill", "evaluate", "export") or not out.exists() or not any(out.iterdir()), (
                where
            )
            assert not any(path.name.endswith(".partial") for path in out.rglob("*")), where
            subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=10k", disk], check=True)
            code, said = idtd(arguments)
            assert code == 0, f"{where}again: {said}"
        return full, made(disk)
    finally:
        subprocess.run(["umount", disk], check=True)


def made(disk: Path) -> dict[str, str]:
    """What lies on the disk in the end, which is the folder that was asked for, and the cache of the Hub's client."""
    found = contents(disk)
    assert not [name for name in found if ".partial" in name or ".incomplete" in name], found
    return {name: digest for name, digest in found.items() if name.startswith("out") and name not in _TIMED}


def main() -> None:
    command, disk, source, beside = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    out = str(disk / "out")
    os.environ["TMPDIR"] = str(disk)  # what is there for a moment needs room, too
    with ExitStack() as stack:
        arguments = {
            "prepare": ["prepare", source, out, "--recipe", beside],
            "distill": ["distill", source, out, "--device", "cpu", "--resume"],
            "export": ["export", source, out, "--also", "tensors"],
            "evaluate": ["evaluate", source, "--on", beside, "--out", out, "--device", "cpu"],
            "download": ["download", "me/motions", out],
        }[command]
        if command == "download":
            hub = stack.enter_context(hub_server.serve())
            hub.repos["me/motions"] = hub_server.Repo()
            hub.repos["me/motions"].commit(hub_server.files(Path(source)))
            os.environ["HF_ENDPOINT"] = hub.url
        full = check(disk, arguments, pages=24 if command == "export" else 12)
        sys.stdout.write(" ".join(map(str, full)))


if __name__ == "__main__":
    main()
