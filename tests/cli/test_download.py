from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cli.running import Done


def test_terms_come_first(idtd: Callable[..., Done], tmp_path: Path) -> None:
    done = idtd("prepare", f"ucf101:{tmp_path}/data/UCF-101", tmp_path / "out", "--download")
    assert done.code == 2
    assert "UCF101.rar, 6.93 GB, from https://www.crcv.ucf.edu/" in done.err
    assert done.err.splitlines()[-1] == (
        "idtd: Nothing was fetched: UCF101 has terms that you have to accept. "
        "Read them, and run the command again with --accept-licence."
    )
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_prepared_without_a_word_of_terms(idtd: Callable[..., Done], tmp_path: Path) -> None:
    for name in ("UCF-101/run/v_run_g01_c01.avi", "ucfTrainTestlist/classInd.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"")
    done = idtd("prepare", f"ucf101:{tmp_path}/UCF-101", tmp_path / "out", "--download")
    assert done.err.startswith(f"{tmp_path}/UCF-101 holds UCF101 already: nothing to fetch.")
    assert "trainlist01.txt" in done.err  # the stage is at work


def test_a_source_that_nobody_offers(idtd: Callable[..., Done], tmp_path: Path) -> None:
    done = idtd("prepare", tmp_path, tmp_path / "out", "--download", "--accept-licence")
    assert (done.code, done.out) == (2, "")
    assert "cannot be downloaded. Name what and where to, as in ucf101:/data/UCF-101" in done.err
