from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest

from idtd_cli.engines import local
from idtd_cli.engines.engine import Rejected
from idtd_cli.errors import IdtdError, InputError
from idtd_cli.video.decode import DecodeError


def job(item: object) -> object:
    """Does what it is told, as a decoder on a bad file may."""
    match item:
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "hang":
            time.sleep(1000)
        case "deaf":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            time.sleep(1000)
        case "allocate":
            return len(bytearray(3 << 30))
        case "damaged":
            raise DecodeError("is damaged: so it is")
        case "bug":
            raise KeyError("no such\nkey")
        case "pid":
            return os.getpid()
        case "gpu":
            return os.environ["CUDA_VISIBLE_DEVICES"]
        case "refuse":
            raise InputError("It does not fit.", "Make it fit.")
        case ("lose once", path) if not Path(path).exists():
            Path(path).write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        case ("wait for", path):
            until = time.monotonic() + 60
            while not Path(path).exists() and time.monotonic() < until:
                time.sleep(0.01)
    return item


def run(items: list[object], n: int = 2, seconds: float = 30) -> list[object]:
    return list(local.run(job, items, workers=n, seconds=seconds, memory_mb=512))


def test_results_come_in_order() -> None:
    assert run(list(range(50))) == list(range(50))


def test_nothing_to_do() -> None:
    assert run([]) == []


@pytest.mark.parametrize("n", [1, 2])
def test_a_bad_file_costs_itself_alone(n: int) -> None:
    items = [0, "segfault", 1, "damaged", 2, "allocate", 3, "exit", 4, "bug", 5, "segfault", "segfault", 6]
    results = run(list(items), n)
    reasons = [result.reason if isinstance(result, Rejected) else result for result in results]
    assert reasons == [
        0,
        "crashed the decoder (signal 11)",
        1,
        "is damaged: so it is",
        2,
        "needs more than 512 MiB of memory",
        3,
        "crashed the decoder (exit code 3)",
        4,
        "is damaged: KeyError: 'no such\\nkey'",
        5,
        "crashed the decoder (signal 11)",
        "crashed the decoder (signal 11)",
        6,
    ]


@pytest.mark.parametrize("hang", ["hang", "deaf"])
def test_a_hang_is_ended(hang: str) -> None:
    start = time.monotonic()
    assert run([0, hang, 1, 2], seconds=1) == [0, Rejected("took longer than 1 s"), 1, 2]
    assert time.monotonic() - start < 15


class Counted(list[object]):
    """A list that knows how many of its items were taken."""

    taken = 0

    def __iter__(self) -> Iterator[object]:
        for item in super().__iter__():
            self.taken += 1
            yield item


def test_few_items_are_in_flight() -> None:
    items = Counted(range(100))
    results = local.run(job, items, workers=2, seconds=30, memory_mb=512)
    for _ in range(10):
        next(results)
    results.close()
    assert 10 <= items.taken <= 10 + 4 * 2


def test_a_pool_serves_one_run_after_the_other() -> None:
    with closing(local.Pool(1, 30, 512)) as pool:
        first = list(pool.run(job, ["pid", "pid"]))
        assert list(pool.run(job, ["pid", "segfault"])) == [first[0], Rejected("crashed the decoder (signal 11)")]
        assert list(pool.run(job, ["pid"])) != first[:1]


def die(*_: object) -> None:
    os._exit(1)


def test_workers_that_cannot_start_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_begin", die)
    with pytest.raises(IdtdError, match="cannot be started"):
        list(local.run(job, [1, 2], workers=2, seconds=30, memory_mb=512))


def compute(items: list[object], n: int = 2, gpus: int = 0) -> list[object]:
    """The results, in the order of the items."""
    found = dict(local.compute(job, items, workers=n, threads=1, gpus=gpus))
    return [found[number] for number in range(len(items))]


def test_results_of_work_of_our_own_come_with_their_numbers() -> None:
    assert compute(list(range(20))) == list(range(20))
    assert compute([]) == []


def test_none_waits_for_a_slower_one(tmp_path: Path) -> None:
    slow = ("wait for", str(tmp_path / "mark"))
    with closing(local.compute(job, [slow, 1, 2, 3, 4, 5, 6], workers=2, threads=1, gpus=0)) as results:
        assert [next(results) for _ in range(6)] == [(number, number) for number in range(1, 7)]
        (tmp_path / "mark").touch()
        assert list(results) == [(0, slow)]


def test_what_ended_together_is_known_before_what_failed() -> None:
    failed, first, second = Future[int](), Future[int](), Future[int]()
    failed.set_exception(ValueError())
    first.set_result(1)
    second.set_result(2)
    assert local._ended({failed: 0, second: 2, first: 1, Future(): 3}) == [first, second, failed]


def test_what_work_of_our_own_raises_is_raised_here() -> None:
    with pytest.raises(InputError, match=r"It does not fit\. Make it fit\."):
        compute([0, "refuse", 1])
    with pytest.raises(KeyError, match="no such"):
        compute([0, "bug", 1])


def test_work_whose_process_is_lost_is_done_again(tmp_path: Path) -> None:
    first, second = ("lose once", str(tmp_path / "first")), ("lose once", str(tmp_path / "second"))
    assert compute([0, first, 1, 2, second, 3]) == [0, first, 1, 2, second, 3]


def test_work_whose_process_is_lost_again_and_again_ends_the_run() -> None:
    with pytest.raises(IdtdError, match=r"lost 4 times \(signal 11\)"):
        compute([0, "segfault", 1])


def test_each_process_sees_one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = ("lose once", str(tmp_path / "lost"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    assert compute(["gpu", lost, "gpu"], 1, gpus=2) == ["3", lost, "5"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert compute(["gpu"], 1, gpus=2) == ["0"]


_CHILDREN = """
import multiprocessing, sys, time
from idtd_cli.engines import local

if __name__ == "__main__":
    for item in local.FUNCTION(time.sleep, [0, 1000, 1000, 1000], workers=2, LIMITS):
        print("started", flush=True)
"""
_LIMITS = {"run": "seconds=1000, memory_mb=512", "compute": "threads=1, gpus=0"}


def _start(function: str, script: Path) -> subprocess.Popen[str]:
    """A process of a group of its own, whose workers are at it."""
    script.write_text(_CHILDREN.replace("FUNCTION", function).replace("LIMITS", _LIMITS[function]))
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def _running(session: int) -> list[str]:
    """The processes of a session that still run: a zombie waits for whoever adopts orphans and counts as ended."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(status.parent.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc to find processes")
@pytest.mark.parametrize("function", _LIMITS)
def test_ctrl_c_ends_everything_at_once_without_noise(tmp_path: Path, function: str) -> None:
    process = _start(function, tmp_path / "script.py")
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    start = time.monotonic()
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert err.count("Traceback") == 1, err  # the one of the script itself
    assert "KeyboardInterrupt" in err
    _need_gone(process.pid)


def _need_gone(group: int) -> None:
    until = time.monotonic() + 20
    while _running(group) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _running(group)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc to find processes")
def test_work_of_our_own_does_not_outlive_a_command_that_is_killed(tmp_path: Path) -> None:
    """An item may take hours; a worker would look for its pool only then."""
    process = _start("compute", tmp_path / "script.py")
    process.kill()
    process.communicate(timeout=20)
    _need_gone(process.pid)


def test_a_folder_for_temporary_files_whose_name_is_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise OSError("AF_UNIX path too long")

    monkeypatch.setattr(local.forkserver, "ensure_running", fails)
    with pytest.raises(InputError, match=r"too long for a socket: .*Set TMPDIR to a shorter one"):
        list(local.run(str, [1], workers=1, seconds=9, memory_mb=512))
