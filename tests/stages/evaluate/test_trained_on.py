from __future__ import annotations

from pathlib import Path

import pytest
import torch

from idtd_cli.distilled import DistilledSet
from idtd_cli.stages.evaluate.trained_on import names
from tests import tiny


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["sets/idtd", "sets/pixel"], ["idtd", "pixel"]),
        (["a/set", "b/set"], ["a/set", "b/set"]),
        (["x/a/set", "y/a/set", "x/b/set"], ["x/a/set", "y/a/set", "b/set"]),
        (["a/random", "b/full"], ["a/random", "b/full"]),
        (["set"], ["set"]),
        (["x/idtd", "idtd/videos"], ["idtd", "videos"]),
        (["x/idtd", "y/idtd/videos", "z/videos"], ["idtd", "y/idtd/videos", "z/videos"]),
    ],
)
def test_names_are_as_long_as_it_takes_to_tell_sets_apart(paths: list[str], expected: list[str]) -> None:
    assert names([Path("/top") / path for path in paths]) == expected


def test_a_set_is_decoded_once_for_all_that_is_done_with_it(
    exported: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To see that it fits, for each of its students, also those that see plain videos or its MP4s, and to show it."""
    opened: list[Path] = []
    open_set, read_lossy = DistilledSet.open, DistilledSet.lossy_videos

    def recorded(path: Path) -> DistilledSet:
        opened.append(path)
        return open_set(path)

    def recorded_lossy(self: DistilledSet) -> torch.Tensor:
        opened.append(self.path / "videos")
        return read_lossy(self)

    monkeypatch.setattr(DistilledSet, "open", recorded)
    monkeypatch.setattr(DistilledSet, "lossy_videos", recorded_lossy)
    content = tiny.recipe(evaluate__students=3, evaluate__full_students=0, evaluate__plain=True, evaluate__lossy=True)
    tiny.evaluate([exported], prepared, tmp_path / "report", content)
    assert opened == [exported, exported / "videos"]
