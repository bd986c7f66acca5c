"""The Ray engine on a cluster of its own: one node, two CPUs, free ports, all in a folder that goes away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from idtd_cli.engines import local
from idtd_cli.engines import ray as engine
from idtd_cli.engines.engine import Rejected
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.stages import prepare
from tests import tiny
from tests.engines import test_local

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'idtd-cli[ray]'")
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc to find processes")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:  # short: it holds sockets
        log = Path(folder) / "log"
        options = ["--head", "--port=0", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, f"--temp-dir={folder}", "--block"]
        with log.open("w") as file:
            process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"},
                start_new_session=True,
            )
        address = Path(folder) / "ray_current_cluster"  # Ray writes it last, after it has said that it runs
        try:
            until = time.monotonic() + 60
            while not address.exists() or not address.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.1)
            yield address.read_text()
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                _kill_group(process.pid)


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@pytest.fixture
def named(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """RAY_ADDRESS names the cluster."""
    monkeypatch.setenv("RAY_ADDRESS", cluster)


@pytest.fixture(scope="module")
def connected(cluster: str) -> Iterator[None]:
    """A connection that was there before, as in a notebook: its processes stay from run to run."""
    ray.init(address=cluster, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def job(item: object) -> object:
    """Does what `test_local.job` does, or harm to the cluster."""
    match item:
        case ("wait", path):
            Path(path).write_text(str(os.getpid()))
            time.sleep(1000)
        case ("meet", folder):
            here = Path(folder) / str(os.getpid())
            here.write_text("")
            time.sleep(0.05)
            met = len(list(Path(folder).iterdir()))
            here.unlink()
            return met
        case ("lose task", path) if not Path(path).exists():
            Path(path).write_text("")
            _kill_task()
        case "lose task":
            _kill_task()
    return test_local.job(item)


def _kill_task() -> None:
    """Kill the process that Ray runs: the parent of the server that starts workers."""
    os.kill(_parent(os.getppid()), signal.SIGKILL)
    time.sleep(1000)


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def run(items: list[object], seconds: float = 30) -> list[object]:
    return list(engine.run(job, items, workers=0, seconds=seconds, memory_mb=512))


# What needs no cluster comes before the connection that the module keeps.


def test_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError, match=f"There is no Ray cluster at {address}"):
        run([0])


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="not installed") as raised:
        run([0])
    assert "idtd-cli[ray]" in raised.value.hint


def test_nothing_to_do_needs_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    assert run([]) == []


@pytest.mark.usefixtures("named")
def test_it_gives_the_bytes_of_the_local_engine(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "videos").symlink_to(videos)
    monkeypatch.chdir(tmp_path)  # the nodes find relative paths, too
    for name in ("local", "ray"):
        prepare.run("videos", Path(name), tiny.recipe(prepare__decode={"engine": name}), tiny.Heard())
    assert tiny.contents(Path("ray")) == tiny.contents(Path("local"))
    assert not ray.is_initialized()


@pytest.mark.usefixtures("connected")
def test_a_bad_file_costs_itself_alone() -> None:
    items = [*range(20), "segfault", 20, "damaged", "allocate", "hang", 21]
    results = run(items, seconds=1)
    assert results == list(local.run(test_local.job, items, workers=2, seconds=1, memory_mb=512))
    assert sum(isinstance(result, Rejected) for result in results) == 4
    assert ray.is_initialized()


@pytest.mark.usefixtures("connected")
def test_no_more_processes_than_asked_for(tmp_path: Path) -> None:
    items = [("meet", str(tmp_path))] * 24
    assert list(engine.run(job, items, workers=1, seconds=30, memory_mb=512)) == [1] * 24


@pytest.mark.usefixtures("connected")
def test_a_lost_process_is_made_good(tmp_path: Path) -> None:
    lost = ("lose task", str(tmp_path / "lost"))
    assert run([0, 1, lost, 2, 3, 4, 5, 6]) == [0, 1, lost, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("connected")
def test_processes_that_are_lost_again_and_again_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_RETRIES", 1)
    with pytest.raises(IdtdError, match="lost a batch of videos 2 times"):
        run([0, 1, "lose task", 2, 3, 4, 5])


@pytest.mark.usefixtures("connected")
def test_a_node_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_versions", lambda: {"pyav": "0.0.1"})
    with pytest.raises(IdtdError, match=r"The Ray node \S+ has .* and this machine"):
        run([0])


@pytest.mark.usefixtures("connected")
def test_closing_ends_the_processes(tmp_path: Path) -> None:
    results = engine.run(job, [0, 1, 2, 3, ("wait", str(tmp_path / "pid"))], workers=0, seconds=1000, memory_mb=512)
    next(results)
    until = time.monotonic() + 20
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    results.close()
    waiting = Path("/proc") / (tmp_path / "pid").read_text()
    while waiting.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not waiting.exists()
