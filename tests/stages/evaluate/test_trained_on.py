from __future__ import annotations

from pathlib import Path

import pytest

from idtd_cli.stages.evaluate.trained_on import names


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
