"""A Ray cluster of two nodes, one of which is killed in the middle of the work: what comes out is the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from idtd_cli.errors import InputError
from idtd_cli.stages import prepare
from idtd_cli.stages.evaluate import students
from tests import tiny
from tests.engines import clusters
from tests.stages.evaluate.test_students import need_same

pytest.importorskip("ray", reason="ray is not installed: pip install 'idtd-cli[ray]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc to find processes"),
]


@pytest.fixture(scope="module")
def first() -> Iterator[str]:
    """The address of a node with one CPU, which stays."""
    with clusters.head(1) as address:
        yield address


@pytest.fixture
def both(first: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """RAY_ADDRESS names the cluster of this node and another."""
    monkeypatch.setenv("RAY_ADDRESS", first)
    with clusters.doomed(first, 1):
        yield


@pytest.mark.usefixtures("both")
def test_prepare_without_the_node_that_was_killed(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare.run(videos, tmp_path / "local", tiny.recipe(), tiny.Heard())
    mark = tmp_path / "killed"
    monkeypatch.setattr(prepare, "clip_of", clusters.Deadly(prepare.clip_of, mark))
    prepare.run(videos, tmp_path / "ray", tiny.recipe(prepare__decode={"engine": "ray"}), tiny.Heard())
    assert mark.exists()
    assert tiny.contents(tmp_path / "ray") == tiny.contents(tmp_path / "local")


@pytest.mark.usefixtures("both")
def test_evaluate_without_the_node_that_was_killed(
    prepared: Path, exported: Path, reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "killed"
    monkeypatch.chdir(prepared.parent)  # the nodes find relative paths, too
    monkeypatch.setattr(students, "_train", clusters.Deadly(train, mark))
    content, here = tiny.recipe(evaluate__engine="ray"), Path(prepared.name)
    need_same(tiny.evaluate([exported], here, tmp_path / "report", content), reported)
    assert mark.exists()


def train(inputs: students.Inputs, student: students.Student) -> students.Said:
    [said] = students._bench(inputs).train([student])
    return said


def test_a_student_that_no_node_has_room_for_is_refused(
    first: str, prepared: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", first)
    monkeypatch.setattr(students.torch, "get_num_threads", lambda: 64)
    with pytest.raises(InputError, match=r"No node of the Ray cluster has the 64 CPUs that it takes\."):
        tiny.evaluate([exported], prepared, tmp_path / "report", tiny.recipe(evaluate__engine="ray"))
