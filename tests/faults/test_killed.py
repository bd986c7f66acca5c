"""kill -9 at fifty moments, each followed by the same command: the same bytes in the end, and nothing left behind.

A kill strikes the process of the command alone. Moments are drawn over the time that the command works, from a fixed
seed, in series: a killed run is gone on with by the next, which is killed, too, until the last of a series is let be.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import hub_server, tiny
from tests.faults.processes import all_gone, needs_proc, running, start, wait_until
from tests.hub_server import Account, Hub, Repo
from tests.tiny import contents

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), needs_proc]
#: Kills without a run between them that comes to its end.
_SERIES = 5
#: torch's cache, and where Python's server that forks workers listens: of a command that is killed before the first
#: worker is there, it stays.
_NOT_OURS = ("torchinductor", "pymp-")


@dataclass
class Command:
    """A command that is killed.

    Attributes:
        arguments: of `idtd`.
        here: an empty folder that all it writes lies in.
        result: what it has made, as far as a seed decides it.
        begun: whether the process of this number has begun to work.
        wipe: undo it.
    """

    arguments: list[object]
    here: Path
    result: Callable[[], object]
    begun: Callable[[int], bool]
    wipe: Callable[[], None]
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> subprocess.Popen[str]:
        """Start it, and wait until it works."""
        (self.here / "tmp").mkdir(exist_ok=True)
        process = start(self.arguments, self.here / "log", {"TMPDIR": str(self.here / "tmp"), **self.environment})
        assert wait_until(lambda: self.begun(process.pid) or process.poll() is not None), self.said()
        return process

    def said(self) -> str:
        return (self.here / "log").read_text()

    def check_end(self, process: subprocess.Popen[str]) -> None:
        assert process.wait(60) == 0, self.said()
        assert all_gone(process.pid), running(process.pid)
        assert "Traceback" not in self.said()
        left = [path for path in self.here.rglob("*") if ".partial" in path.name or path.suffix == ".incomplete"]
        left += [path for path in (self.here / "tmp").iterdir() if not path.name.startswith(_NOT_OURS)]
        assert left == []


def survives(command: Command, kills: int) -> None:
    """Kill a command so many times, and compare what comes out in the end with what comes out undisturbed."""
    process = command.start()
    began = time.monotonic()
    command.check_end(process)
    length = time.monotonic() - began
    undisturbed = command.result()
    command.wipe()

    rng = random.Random(str(command.arguments[0]))
    done = in_series = 0
    while done < kills or in_series:
        process = command.start()
        if in_series < _SERIES and done < kills:
            try:
                process.wait(rng.uniform(0, length))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
                assert all_gone(process.pid), running(process.pid)
                done, in_series = done + 1, in_series + 1
                continue
        command.check_end(process)
        assert command.result() == undisturbed
        command.wipe()
        in_series = 0


def on_a_folder(here: Path, out: Path, *arguments: object, result: Callable[[], object] | None = None) -> Command:
    """A command that makes a folder."""
    lock = out.parent / f".{out.name}.partial" / "lock"

    def begun(process: int) -> bool:
        try:
            return f"process {process} " in lock.read_text()
        except OSError:
            return False

    def wipe() -> None:
        shutil.rmtree(out)

    return Command(list(arguments), here, result or (lambda: contents(out)), begun, wipe)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def test_prepare(videos: Path, tmp_path: Path, here: Path) -> None:
    recipe = tiny.write_recipe(tmp_path / "recipe.yaml", prepare__decode={"workers": 2})
    source = tmp_path / "many"
    for number in range(8):  # the same videos again and again, for a run that takes its time
        for video in videos.glob("*/*.mp4"):
            copied = source / video.parent.name / f"{number}-{video.name}"
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(video, copied)
    survives(on_a_folder(here, here / "out", "prepare", source, here / "out", "--recipe", recipe), 22)


def test_distill(prepared: Path, here: Path) -> None:
    changes = {"steps": 150, "checkpoint_every": 7, "preview_every": 40, "validate_every": 40}
    chosen = ["--set", "distill.selection=best-on-validation"]
    settings = [word for key, value in changes.items() for word in ("--set", f"distill.{key}={value}")] + chosen
    command = on_a_folder(
        here, here / "out", "distill", prepared, here / "out", "--resume", "--device", "cpu", *settings
    )
    survives(command, 8)


def test_export(prepared: Path, tmp_path: Path, here: Path) -> None:
    run = tiny.distil(prepared, tmp_path / "run", tiny.recipe(distill__ipc=3))
    survives(on_a_folder(here, here / "out", "export", run, here / "out"), 5)


def test_evaluate(prepared: Path, exported: Path, here: Path) -> None:
    out = here / "out"

    def result() -> object:
        """All but how long it took."""
        report = json.loads((out / "report.json").read_text())
        del report["sha256"]
        for one in report["results"]:
            del one["seconds"]
        scores = [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]
        said = [(line["key"], line["found"], line["place"]) for line in scores]
        files = contents(out)
        return report, said, {name: files[name] for name in files if name not in ("report.json", "scores.jsonl")}

    settings = ["--set", "evaluate.fit.steps=30", "--set", "evaluate.students=4", "--device", "cpu"]
    survives(on_a_folder(here, out, "evaluate", exported, "--on", prepared, "--out", out, *settings, result=result), 4)


@pytest.fixture
def user(tmp_path: Path, here: Path) -> Iterator[tuple[Hub, dict[str, str]]]:
    """A Hub, and the environment of somebody who may write to it."""
    with hub_server.serve() as hub:
        hub.accounts["t"] = Account("me")
        yield hub, {"HF_ENDPOINT": hub.url, "HF_HOME": str(here / "home"), "HF_TOKEN": "t", "HF_HUB_DISABLE_XET": "1"}


def test_publish(user: tuple[Hub, dict[str, str]], exported: Path, here: Path) -> None:
    hub, environment = user

    def wipe() -> None:
        hub.repos.clear()
        hub.objects.clear()
        hub.requests.clear()

    def result() -> object:
        repo = hub.repos["me/motions"]
        return repo.files, repo.commits[repo.refs["v1"]]

    def begun(_: int) -> bool:
        return len(hub.requests) > seen[0]

    class Publish(Command):
        def start(self) -> subprocess.Popen[str]:
            seen[0] = len(hub.requests)
            return super().start()

    seen = [0]
    arguments: list[object] = ["publish", exported, "me/motions", "--license", "other", "--tag", "v1"]
    survives(Publish(arguments, here, result, begun, wipe, environment), 5)


def test_download(user: tuple[Hub, dict[str, str]], exported: Path, here: Path) -> None:
    hub, environment = user
    hub.repos["me/motions"] = Repo()
    hub.repos["me/motions"].commit(hub_server.files(exported), "v1")
    out = here / "out"

    class Download(Command):
        def start(self) -> subprocess.Popen[str]:
            hub.requests.clear()
            for path in here.rglob("*.incomplete"):
                os.utime(path, (0, 0))  # nobody's, as it would be an hour later
            return super().start()

    def wipe() -> None:
        shutil.rmtree(out)
        shutil.rmtree(here / "home")

    arguments: list[object] = ["download", "me/motions", out]
    survives(Download(arguments, here, lambda: contents(out), lambda _: bool(hub.requests), wipe, environment), 6)
