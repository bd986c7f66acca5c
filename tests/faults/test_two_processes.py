"""Two commands on one folder: the second is refused while the first lives, and not because of one that is dead."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from idtd_cli import storage
from idtd_cli.errors import InputError
from idtd_cli.ranks import Ranks
from idtd_cli.runlog import Quiet
from idtd_cli.stages import demo_data, prepare
from tests import tiny
from tests.faults.processes import ROOT
from tests.tiny import Heard, contents

Writer = Callable[["World", Path, Any], object]


class World:
    """What commands work on."""

    def __init__(self, videos: Path, prepared: Path, finished: Path, exported: Path) -> None:
        self.videos, self.prepared, self.finished, self.exported = videos, prepared, finished, exported


@pytest.fixture
def world(videos: Path, prepared: Path, finished: Path, exported: Path) -> World:
    return World(videos, prepared, finished, exported)


WRITERS: dict[str, Writer] = {
    "demo-data": lambda w, out, heard: demo_data.run(
        out, classes=2, train=2, test=1, size=16, frames=8, progress=heard
    ),
    "prepare": lambda w, out, heard: prepare.run(w.videos, out, tiny.recipe(), heard),
    "experts": lambda w, out, heard: tiny.experts(w.prepared, out, progress=heard),
    "distill": lambda w, out, heard: tiny.distil(w.prepared, out, progress=heard),
    "distill --resume": lambda w, out, heard: tiny.distil(w.prepared, out, resume=True, progress=heard),
    "export": lambda w, out, heard: tiny.export(w.finished, out),
    "evaluate": lambda w, out, heard: tiny.evaluate([w.exported], w.prepared, out, progress=heard),
}
writers = pytest.mark.parametrize("name", WRITERS)

_HOLD = """
import sys
from pathlib import Path
from idtd_cli import storage
with storage.alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(out: Path) -> subprocess.Popen[str]:
    """A process that is at work on a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_HOLD), str(out)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@writers
def test_the_second_is_refused_and_a_dead_one_holds_nothing(world: World, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    first = holder(out)
    before = contents(tmp_path)
    words = (
        rf"^{re.escape(str(out))} is being made by process {first.pid} on {re.escape(platform.node())}\. Wait for it"
    )
    with pytest.raises(InputError, match=words):
        WRITERS[name](world, out, Quiet())
    assert contents(tmp_path) == before
    first.kill()
    first.communicate()
    WRITERS[name](world, out, Quiet())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["experts", "distill --resume", "evaluate"])
def test_a_folder_that_grows_is_refused_too(world: World, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    WRITERS[name](world, out, Quiet())
    before = contents(out)
    first = holder(out)
    with pytest.raises(InputError, match="is being made by process"):
        WRITERS[name](world, out, Quiet())
    first.communicate("")
    WRITERS[name](world, out, Quiet())
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_ranks_of_one_run_share_its_folder(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of them has the lock; the others do not ask for it."""
    asked: list[Path] = []
    alone = storage.alone

    def recorded(out: Path, *rest: Any) -> Any:
        asked.append(out)
        return alone(out, *rest)

    monkeypatch.setattr(storage, "alone", recorded)

    def another(self: Ranks, here: bool) -> bool:
        raise KeyError("no other rank is there")

    monkeypatch.setattr(Ranks, "any", another)
    for number, holds in ((1, []), (0, [tmp_path / "run"])):
        with pytest.raises(KeyError):
            tiny.distil(world.prepared, tmp_path / "run", ranks=Ranks(number, 2))
        assert asked[:1] == holds


@writers
def test_where_nothing_can_be_locked_it_is_said(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def flock(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    heard = Heard()
    WRITERS[name](world, tmp_path / "out", heard)
    said = f"{tmp_path / 'out'} cannot be locked (No locks available): see to it that no other command writes there."
    if name != "export":  # whose talk nobody listens to here
        assert heard.notes[: 1 + (name == "prepare")].count(said) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
