"""The Ray engine on a cluster of its own: one node, two CPUs."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from idtd_cli.engines import local
from idtd_cli.engines import ray as engine
from idtd_cli.engines.engine import Rejected
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.stages import prepare
from tests import tiny
from tests.engines import clusters
from tests.engines.jobs import job, job_on_ray

ray = pytest.importorskip("ray", reason="ray is not installed: pip install 'idtd-cli[ray]'")
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc to find processes")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster."""
    with clusters.head(2) as address:
        yield address


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


def run(items: list[object], seconds: float = 30) -> list[object]:
    return list(engine.run(job_on_ray, items, workers=0, seconds=seconds, memory_mb=512))


def compute(items: list[object], workers: int = 0) -> list[object]:
    """The results, in the order of the items."""
    found = dict(engine.compute(job_on_ray, items, workers=workers, threads=1, gpus=0))
    return [found[number] for number in range(len(items))]


# What needs no cluster comes before the connection that the module keeps.


def test_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError, match=f"There is no Ray cluster at {address}"):
        run([0])
    with pytest.raises(InputError, match=f"There is no Ray cluster at {address}"):
        engine.need_room(threads=1, gpus=0)


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
    assert results == list(local.run(job, items, workers=2, seconds=1, memory_mb=512))
    assert sum(isinstance(result, Rejected) for result in results) == 4
    assert ray.is_initialized()


@pytest.mark.usefixtures("connected")
def test_no_more_processes_than_asked_for(tmp_path: Path) -> None:
    items = [("meet", str(tmp_path))] * 24
    assert list(engine.run(job_on_ray, items, workers=1, seconds=30, memory_mb=512)) == [1] * 24


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
    monkeypatch.setattr(engine, "_versions_of_networks", lambda: {"torch": "0.0.1"})
    for function in (run, compute):
        with pytest.raises(IdtdError, match=r"The Ray node \S+ has .* and this machine"):
            function([0])


@pytest.mark.usefixtures("connected")
def test_closing_ends_the_processes(tmp_path: Path) -> None:
    results = engine.run(
        job_on_ray, [0, 1, 2, 3, ("wait", str(tmp_path / "pid"))], workers=0, seconds=1000, memory_mb=512
    )
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


@pytest.mark.usefixtures("connected")
def test_work_of_our_own(tmp_path: Path) -> None:
    """No more at a time than asked for, again if its process was lost; and what it raises is raised here."""
    (tmp_path / "met").mkdir()
    lost = ("lose once", str(tmp_path / "lost"))
    assert compute([0, 1, lost, 2, 3]) == [0, 1, lost, 2, 3]
    assert compute([("meet", str(tmp_path / "met"))] * 4, workers=1) == [1] * 4
    assert compute([]) == []
    with pytest.raises(InputError, match=r"It does not fit\. Make it fit\."):
        compute([0, "refuse", 1])
    with pytest.raises(IdtdError, match="A node of the Ray cluster cannot compute: 'no such"):
        compute([0, "bug", 1])


@pytest.mark.usefixtures("connected")
def test_a_node_has_to_have_what_a_task_takes() -> None:
    engine.need_room(threads=2, gpus=0)
    with pytest.raises(InputError, match="No node of the Ray cluster has the 3 CPUs that it takes"):
        engine.need_room(threads=3, gpus=0)
    with pytest.raises(InputError, match="the 1 CPUs and the GPU that it takes"):
        engine.need_room(threads=1, gpus=1)


@pytest.mark.usefixtures("connected")
def test_none_waits_for_a_slower_one(tmp_path: Path) -> None:
    slow = ("wait for", str(tmp_path / "mark"))
    with closing(engine.compute(job_on_ray, [slow, 1, 2, 3, "refuse"], workers=2, threads=1, gpus=0)) as results:
        assert [next(results) for _ in range(3)] == [(1, 1), (2, 2), (3, 3)]
        with pytest.raises(InputError, match="It does not fit"):
            next(results)
    with closing(engine.compute(job_on_ray, [slow, 1, 2], workers=2, threads=1, gpus=0)) as results:
        assert [next(results) for _ in range(2)] == [(1, 1), (2, 2)]
        (tmp_path / "mark").touch()
        assert list(results) == [(0, slow)]
