from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from idtd_cli.errors import InputError
from idtd_cli.prepared import PreparedSet
from idtd_cli.report import redundancy
from idtd_cli.report.document import Spread
from idtd_cli.report.redundancy import ClassRedundancy
from idtd_cli.runlog import Quiet
from tests import tiny

Clip = NDArray[np.uint8]


def noise(number: int, *shape: int) -> Clip:
    return np.random.default_rng(number).integers(0, 256, shape or (8, 3, 16, 16), dtype=np.uint8)


def prepared(folder: Path, kinds: dict[str, Callable[[int], Clip]], clips: int = 4, **clip: Any) -> PreparedSet:
    """A set of one class a kind; a kind draws its clip number n."""
    config = tiny.recipe().prepare.clip.model_copy(update=clip)
    drawn = (
        (f"{name}/{number:04d}", label, split, kind(number + 100 * label))
        for split in ("train", "test")
        for label, (name, kind) in enumerate(kinds.items())
        for number in range(1 if name == "single" else clips)
    )
    tiny.write_clips(folder, config, tuple(kinds), drawn)
    return PreparedSet.open(folder)


def measured(source: PreparedSet) -> dict[str, ClassRedundancy]:
    return {each.name: each for each in redundancy.measure(source, Quiet())}


def test_what_can_be_said_beforehand(tmp_path: Path) -> None:
    found = measured(
        prepared(
            tmp_path / "set",
            {
                "copies": lambda _: noise(0),
                "frozen": lambda number: noise(number, 1, 3, 16, 16).repeat(8, axis=0),
                "noise": noise,
                "single": noise,
            },
        )
    )
    copies, frozen, other, single = (found[name] for name in ("copies", "frozen", "noise", "single"))
    assert copies.inter is not None
    assert copies.inter.mean == pytest.approx(1, abs=1e-4)
    assert frozen.within is not None
    assert frozen.within.mean == pytest.approx(1, abs=1e-4)
    assert other.inter is not None
    assert other.inter.mean < 0.9
    assert single.inter is None
    assert (copies.clips, single.clips) == (4, 1)
    assert copies.inter.n == redundancy.EMBEDDINGS


def test_independent_noise_is_near_0(tmp_path: Path) -> None:
    for each in measured(prepared(tmp_path / "set", {"a": noise, "b": noise, "c": noise}, clips=12)).values():
        assert each.inter is not None
        assert each.within is not None
        assert abs(each.inter.mean) < 0.1
        assert abs(each.within.mean) < 0.1


def test_the_most_redundant_class_comes_first_and_what_is_not_known_last(tmp_path: Path) -> None:
    kinds = {"single": noise, "noise": noise, "copies": lambda _: noise(0)}
    source = prepared(tmp_path / "set", kinds)
    assert [each.name for each in redundancy.measure(source, Quiet())] == ["copies", "noise", "single"]


def test_the_training_clips_alone_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = prepared(tmp_path / "set", {"a": noise, "b": noise})
    opened = tiny.splits_opened(monkeypatch)
    redundancy.measure(source, Quiet())
    assert set(opened) == {"train"}


def test_of_a_large_class_some_clips_are_drawn_the_same_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redundancy, "MOST_CLIPS", 3)
    source = prepared(tmp_path / "set", {"a": noise, "b": noise}, clips=5)
    heard = tiny.Heard()
    found = redundancy.measure(source, heard)
    assert [each.clips for each in found] == [3, 3]
    assert heard.advanced == 2 * 3 * redundancy.EMBEDDINGS
    assert redundancy.measure(source, Quiet()) == found


@pytest.mark.parametrize("clip", [{"height": 12, "width": 40}, {"height": 64, "width": 48}, {"stored_frames": 40}])
def test_clips_of_any_size(tmp_path: Path, clip: dict[str, int]) -> None:
    shape = (clip.get("stored_frames", 8), 3, clip.get("height", 16), clip.get("width", 16))
    still = prepared(
        tmp_path / "set",
        {
            "frozen": lambda number: noise(number, 1, *shape[1:]).repeat(shape[0], 0),
            "noise": lambda n: noise(n, *shape),
        },
        **clip,
    )
    found = measured(still)["frozen"]
    assert found.within is not None
    assert found.within.mean == pytest.approx(1, abs=1e-4)


def test_clips_of_one_frame(tmp_path: Path) -> None:
    kinds = {name: lambda number: noise(number, 1, 3, 16, 16) for name in ("a", "b")}
    found = measured(prepared(tmp_path / "set", kinds, stored_frames=1, frames=1))
    assert [each.within for each in found.values()] == [None, None]
    assert all(each.inter for each in found.values())


def test_one_class_has_nothing_to_be_measured_against(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has one class"):
        measured(prepared(tmp_path / "set", {"alone": noise}))


def test_the_table() -> None:
    found = [
        ClassRedundancy("jump", 64, Spread.of([0.25, 0.35]), Spread.of([0.5, 0.5])),
        ClassRedundancy("run", 1, None, None),
    ]
    assert redundancy.table(found).splitlines() == [
        "class  clips  inter-sample  within-sample",
        "-----------------------------------------",
        "jump      64   0.30 ± 0.07    0.50 ± 0.00",
        "run        1             –              –",
    ]
