from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from idtd_cli.runlog import Meter, Metrics, Quiet, duration, read_lines, read_steps, tensorboard
from tests.tiny import Heard


def write(path: Path, first: int, steps: range) -> None:
    with Metrics(path, first) as metrics:
        for step in steps:
            metrics.add(step, matching=step / 2)


def test_a_line_a_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 0, range(3))
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 0, "matching": 0.0},
        {"step": 1, "matching": 0.5},
        {"step": 2, "matching": 1.0},
    ]
    assert list(read_lines(path)) == [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_can_be_read_once_they_are_flushed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with Metrics(path, 0) as metrics:
        metrics.add(0, loss=1.0)
        metrics.flush()
        assert len(list(read_lines(path))) == 1


@pytest.mark.parametrize("first", [0, 2, 3, 9])
def test_going_on_drops_what_is_written_again(tmp_path: Path, first: int) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 0, range(3))
    write(path, first, range(first, 5))
    assert [line["step"] for line in read_lines(path)] == sorted({*range(min(first, 3)), *range(first, 5)})


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 0, range(3))
    whole = path.read_bytes()
    for cut in range(1, len(whole.splitlines()[-1])):
        path.write_bytes(whole[: -1 - cut])
        assert [line["step"] for line in read_lines(path)] == [0, 1]
    write(path, 2, range(2, 4))
    assert [line["step"] for line in read_lines(path)] == [0, 1, 2, 3]


def test_being_killed_right_after_going_on_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 0, range(3))
    with Metrics(path, 3) as metrics:
        metrics.add(3, loss=1.0)
        # What a process that is killed now leaves: nothing was flushed.
        assert [line["step"] for line in read_lines(path)] == [0, 1, 2]


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "missing")) == []


def test_quiet_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with Quiet().stage("x", 3) as task:
        task.advance(1, loss=1.0)
    Quiet().note("done")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (33.4, "33 s"), (119, "119 s"), (120, "2 min"), (7100, "118 min"), (7200, "2.0 h"), (3e5, "83.3 h")],
)
def test_a_duration_is_worded_by_its_size(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_without_a_folder_there_is_no_board() -> None:
    with tensorboard(None, 0) as board:
        assert board is None


def test_bytes_of_several_files_are_megabytes_of_all() -> None:
    heard = Heard()
    meter = Meter(heard)
    told = []
    for name, position in [("a", 1), ("a", 1_000_000), ("a", 500_000), ("b", 1), ("b", 2_500_000), ("a", 1_000_000)]:
        meter.reach(name, position)
        told.append(heard.advanced)
    assert told == [1, 1, 1, 2, 4, 4]


def test_threads_do_not_lose_bytes() -> None:
    heard = Heard()
    meter = Meter(heard)
    with ThreadPoolExecutor(8) as pool:
        for name in map(str, range(8)):
            pool.submit(lambda name=name: [meter.reach(name, at) for at in range(0, 5_000_001, 1000)])
    assert heard.advanced == 40


@pytest.mark.parametrize(
    "line",
    [b"[]", b"3", b'{"loss": 1}', b'{"step": "x"}', b'{"step": 1e9}', b'{"step": -1}', b"\xff", b"[" * 100_000],
    ids=range(8),
)
def test_what_follows_a_line_that_is_none_is_left_out(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    write(path, 0, range(2))
    path.write_bytes(path.read_bytes() + line + b"\n" + path.read_bytes())
    assert [found["step"] for found in read_steps(path)] == [0, 1]
    write(path, 2, range(2, 3))
    assert [found["step"] for found in read_steps(path)] == [0, 1, 2]
