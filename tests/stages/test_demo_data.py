from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idtd_cli.demo.motions import MOTIONS, draw_clip
from idtd_cli.errors import InputError
from idtd_cli.runlog import Quiet
from idtd_cli.sources.registry import find
from idtd_cli.stages import demo_data
from idtd_cli.video import decode

ARGUMENTS = {"classes": 3, "train": 2, "test": 1, "size": 32, "frames": 8, "seed": 0}


def run(out: Path, progress: Any = None, **changes: int) -> demo_data.DemoDocument:
    return demo_data.run(out, **(ARGUMENTS | changes), progress=progress or Quiet())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_it_is_a_source_with_lists(tmp_path: Path) -> None:
    run(tmp_path / "demo")
    source = find(tmp_path / "demo")
    assert source.classes == tuple(MOTIONS)[:3]
    assert [(v.id, v.label, v.split) for v in source.videos if v.label == 1] == [
        ("slide_right/test_0000.mp4", 1, "test"),
        ("slide_right/train_0000.mp4", 1, "train"),
        ("slide_right/train_0001.mp4", 1, "train"),
    ]
    assert len((tmp_path / "demo" / "README.txt").read_text().splitlines()) == 2
    frames = decode.read_exact(tmp_path / "demo" / "slide_right" / "train_0001.mp4")
    drawn = draw_clip("slide_right", 8, 32, np.random.default_rng([0, 0, 1, 1]))
    assert frames.shape == (8, 32, 32, 3)
    assert np.abs(frames.astype(int) - drawn).mean() < 16  # 4:2:0 costs the noise its colour


def test_the_seed_decides_every_byte(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(tmp_path / name)
    run(tmp_path / "other", seed=1)
    one = contents(tmp_path / "one")
    assert one == contents(tmp_path / "two")
    other = contents(tmp_path / "other")
    assert all(one[name] != other[name] for name in one if name.endswith(".mp4"))
    assert len({data for name, data in one.items() if name.endswith(".mp4")}) == 9


def test_a_larger_set_holds_the_same_clips(tmp_path: Path) -> None:
    run(tmp_path / "small")
    run(tmp_path / "large", classes=4, train=3)
    large = contents(tmp_path / "large")
    assert all(large[name] == data for name, data in contents(tmp_path / "small").items() if name.endswith(".mp4"))


def test_a_second_run_has_nothing_to_do(tmp_path: Path) -> None:
    class Heard(Quiet):
        notes: list[str] = []  # noqa: RUF012

        def note(self, text: str) -> None:
            self.notes.append(text)

    first = run(tmp_path / "demo")
    assert run(tmp_path / "demo", Heard()) == first
    assert Heard.notes == [f"{tmp_path / 'demo'} already holds this demo set: nothing to do."]
    with pytest.raises(InputError, match="drawn with other arguments"):
        run(tmp_path / "demo", seed=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 13}, r"--classes 13 must be from 2 to 12"),
        ({"classes": 1}, "--classes 1"),
        ({"train": 1}, "--train 1 must be at least 2"),
        ({"test": 0}, "--test 0 must be at least 1"),
        ({"size": 33}, "--size 33 must be even"),
        ({"size": 14}, "--size 14"),
        ({"frames": 7}, "--frames 7 must be at least 8"),
        ({"seed": -1}, "--seed -1"),
    ],
)
def test_arguments_out_of_range(tmp_path: Path, changes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(tmp_path / "demo", **changes)
    assert not list(tmp_path.iterdir())


def test_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="already holds something else"):
        run(tmp_path)
