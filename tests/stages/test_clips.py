"""Where a stage has its clips, in memory or on the disk, changes no byte of what it makes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from idtd_cli import documents
from idtd_cli.errors import IdtdError
from idtd_cli.method.streamed_clips import StreamedClips
from idtd_cli.prepared import CHECK, PreparedSet, Row
from idtd_cli.report.document import ReportDocument
from idtd_cli.stages import clips
from tests import tiny
from tests.tiny import Heard, Impatient, contents, distil, recipe

#: More clips than are drawn at a time.
EACH = 9


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large") / "prepared"
    return tiny.write_prepared(folder, counts={"train": EACH, "val": 2, "test": 3})


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing fits into memory."""
    monkeypatch.setattr(clips, "SHARE", 0.0)


def stream(monkeypatch: pytest.MonkeyPatch, on: bool) -> None:
    monkeypatch.setattr(clips, "SHARE", 0.0 if on else 0.5)


def test_clips_that_fit_are_in_memory(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, heard = PreparedSet.open(large), Heard()
    size = 3 * EACH * 8 * 3 * 16 * 16
    monkeypatch.setattr(clips, "_AT_A_TIME", size // 4)
    for free, fits in ((2 * size, True), (2 * size - 1, False)):
        monkeypatch.setattr(clips, "free_bytes", lambda device, free=free: free)
        videos_NF3HW, labels_N = clips.load(source, "train", "cpu", heard)
        assert isinstance(videos_NF3HW, Tensor) == fits
        assert bool(heard.notes) != fits
        assert labels_N.tolist() == [0] * EACH + [1] * EACH + [2] * EACH
        every = videos_NF3HW if fits else videos_NF3HW.clips(torch.arange(3 * EACH))  # type: ignore[union-attr]
        assert torch.equal(every, source.clips("train")[0])


def test_it_is_said_that_clips_are_streamed(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "free_bytes", lambda device: 100_000)
    heard = Heard()
    videos_NF3HW, _ = clips.load(PreparedSet.open(large), "train", "cpu", heard)
    assert isinstance(videos_NF3HW, StreamedClips)
    assert heard.notes == [
        f"The train clips of {large} take 166 KB, more than 50% of the free memory (100 KB): they are read as they are "
        "drawn."
    ]


def test_free_memory_is_a_part_of_what_the_machine_has() -> None:
    assert 0 < clips.free_bytes("cpu") <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_control_group_gives_what_its_limit_leaves(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    job = root / "batch" / "job"
    job.mkdir(parents=True)
    for group, most, used in ((job, "max", 5000), (job.parent, "9000", 6000), (root, "20000", 7000)):
        (group / "memory.max").write_text(f"{most}\n")
        (group / "memory.stat").write_text(f"anon {used}\nfile 123456\n")
    assert list(clips.group_bytes("9:cpuset:/\n0::/batch/job\n", root)) == [3000, 13000]
    assert list(clips.group_bytes("0::/elsewhere\n", root)) == [13000]
    assert list(clips.group_bytes("", root)) == []  # no group is mounted
    assert list(clips.group_bytes("4:memory:/x\n", root)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"distill__idtd__pool__start": "random", "distill__network_steps": 2, "distill__ipc": 2},
        {"distill__method": "pixel"},
        {"distill__method": "herding", "distill__ipc": 2},
        {"distill__method": "k-center", "distill__ipc": 2},
    ],
)
def test_a_run_is_the_same_and_reads_no_more_at_a_time_than_is_drawn(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    lots: list[int] = []
    read = PreparedSet.read

    def recorded(self: PreparedSet, rows: Sequence[Row], pinned: bool = False) -> Tensor:
        lots.append(len(rows))
        return read(self, rows, pinned)

    monkeypatch.setattr(PreparedSet, "read", recorded)
    content = recipe(**changes)
    stream(monkeypatch, on=False)
    resident = distil(large, tmp_path / "resident", content)
    assert lots == [3 * EACH]
    lots.clear()
    stream(monkeypatch, on=True)
    assert contents(distil(large, tmp_path / "streamed", content)) == contents(resident)
    drawn = 3 * content.distill.batch_real  # and for clusters, or to choose, all clips of one class
    assert len(lots) > 1
    assert max(lots) <= max(drawn, EACH) < 3 * EACH


def test_a_run_goes_on_where_memory_is_short(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = distil(large, tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        distil(large, tmp_path / "stopped", progress=Impatient(2))
    stream(monkeypatch, on=True)
    distil(large, tmp_path / "stopped", resume=True)
    assert (tmp_path / "stopped/synthetic.safetensors").read_bytes() == (
        undisturbed / "synthetic.safetensors"
    ).read_bytes()


def test_an_evaluation_is_the_same(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny.export(distil(large, tmp_path / "run"), tmp_path / "set")
    scores = []
    for on in (False, True):
        stream(monkeypatch, on)
        report = documents.read(ReportDocument, tiny.evaluate([made], large, tmp_path / f"report-{on}"))
        scores.append([(result.method, result.top1, result.stored_bytes) for result in report.results])
    assert scores[0] == scores[1]
    assert [method for method, *_ in scores[0]] == ["idtd", "random", "full"]
    assert (tmp_path / "report-False/clips.png").read_bytes() == (tmp_path / "report-True/clips.png").read_bytes()


class Unplugging(Heard):
    """A progress in whose time a shard is lost."""

    def __init__(self, shard: Path) -> None:
        super().__init__()
        self.shard = shard

    @contextmanager
    def stage(self, name: str, *_: object, **__: object) -> Iterator[Heard]:
        if name != CHECK:
            self.shard.rename(self.shard.with_suffix(".away"))
        yield self


@pytest.mark.usefixtures("streamed")
@pytest.mark.parametrize("method", ["idtd", "herding"])
def test_a_shard_that_is_lost_ends_the_run_which_goes_on_once_it_is_back(tmp_path: Path, method: str) -> None:
    prepared, content = tiny.write_prepared(tmp_path / "prepared"), recipe(distill__method=method)
    undisturbed = distil(prepared, tmp_path / "undisturbed", content)
    shard = prepared / "shards" / "clips-00000.safetensors"
    with pytest.raises(IdtdError) as raised:
        distil(prepared, tmp_path / "run", content, progress=Unplugging(shard))
    assert raised.value.exit_code == 1
    assert raised.value.message == f"{shard} can no longer be read (No such file or directory)."
    shard.with_suffix(".away").rename(shard)
    distil(prepared, tmp_path / "run", content, resume=True)
    assert contents(tmp_path / "run") == contents(undisturbed)
