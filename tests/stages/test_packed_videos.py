"""Videos of more frames than networks see: `distill.frames` above `prepare.clip.frames`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import idtd_cli
from idtd_cli import documents, set_check
from idtd_cli.distilled import DistilledSet
from idtd_cli.errors import InputError
from idtd_cli.method.real_clips import RealClips
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import Method
from idtd_cli.report.document import ReportDocument
from idtd_cli.run_folder import RESULT, RunFolder
from idtd_cli.runlog import Quiet
from idtd_cli.stages import clips, reproduce
from tests import tiny
from tests.tiny import recipe

FRAMES, CLIP_FRAMES = 8, 4
#: Values that a static-dynamic set stores: two images and two one-channel memories a clip, two clips a video.
STATIC_DYNAMIC = 3 * 2 * (2 * 3 + 2 * CLIP_FRAMES) * 16 * 16
METHODS: dict[Method, dict[str, Any]] = {
    "idtd": {},
    "pixel": {"distill__pixel__segments": 2},
    "static-dynamic": {},
    "random": {},
    "herding": {},
    "k-center": {},
}


def settings(method: Method = "idtd", **changes: Any) -> dict[str, Any]:
    return {"distill__method": method, "distill__frames": FRAMES} | METHODS[method] | changes


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_prepared(tmp_path_factory.mktemp("packed") / "prepared")


@pytest.fixture(scope="module")
def sets(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Method, Path]:
    folder = tmp_path_factory.mktemp("packed")
    return {
        method: tiny.export(
            tiny.distil(prepared, folder / f"run-{method}", recipe(**settings(method))), folder / method
        )
        for method in METHODS
    }


@pytest.mark.parametrize("method", METHODS)
def test_a_set_of_each_method(sets: dict[Method, Path], method: Method) -> None:
    opened = DistilledSet.open(sets[method])
    document = opened.document
    assert opened.videos_NT3HW.shape == (3 * document.videos_a_class, FRAMES, 3, 16, 16)
    assert (document.frames, document.clip.frames, document.segments, document.ipc) == (FRAMES, CLIP_FRAMES, 2, 1)
    stored = STATIC_DYNAMIC if method == "static-dynamic" else opened.videos_NT3HW.numel()
    assert document.stored_bytes - 4 * document.stored_parameters == stored
    assert not set_check.check(sets[method], document, Quiet()).problems


@pytest.mark.parametrize("method", ["random", "herding", "k-center"])
def test_a_chosen_video_is_several_clips_of_its_class(prepared: Path, sets: dict[Method, Path], method: Method) -> None:
    clips, labels = PreparedSet.open(prepared).clips("train")
    every = RealClips(clips, labels, 3).whole(torch.arange(len(labels)), CLIP_FRAMES)
    opened = DistilledSet.open(sets[method])
    halves = opened.videos_NT3HW.unflatten(1, (2, CLIP_FRAMES)).flatten(0, 1)
    which = (halves[:, None] == every).flatten(2).all(2).long()
    assert (which.sum(1) == 1).all()
    assert len(which.argmax(1).unique()) == 6
    assert torch.equal(labels[which.argmax(1)], opened.labels_N.repeat_interleave(2))


def test_a_network_sees_the_clips_of_a_video_one_by_one(sets: dict[Method, Path]) -> None:
    data = idtd_cli.load(sets["random"])
    assert len(data) == 6
    clip_CTHW, label = data[3]
    expected = data.normalisation.normalise(data.videos_NT3HW[1, CLIP_FRAMES:]).transpose(0, 1)
    assert torch.equal(clip_CTHW, expected)
    assert int(label) == 1
    whole_CTHW, _ = idtd_cli.load(sets["random"], view="plain")[1]
    assert whole_CTHW.shape == (3, CLIP_FRAMES, 16, 16)


def test_random_clips_get_as_many_frames(prepared: Path, sets: dict[Method, Path], tmp_path: Path) -> None:
    out = tiny.evaluate([sets["idtd"], sets["herding"]], prepared, tmp_path / "report", recipe(evaluate__plain=True))
    results = documents.read(ReportDocument, out).results
    of_sets = [one for one in results if one.method != "full"]
    assert {(one.ipc, one.frames, one.stored_frames, one.stored_bytes) for one in of_sets} == {
        (1, CLIP_FRAMES, 3 * FRAMES, 3 * FRAMES * 3 * 16 * 16)
    }
    # The random clips are as many, and lie apart: however views are drawn, none runs from one into another.
    assert [(one.method, one.form, one.segments) for one in of_sets] == [
        ("idtd", "own", 2), ("idtd", "plain", 1), ("herding", "own", 2), ("herding", "plain", 1), ("random", "own", 1)
    ]  # fmt: skip


def test_videos_of_two_lengths_are_not_judged_by_one_reference(
    prepared: Path, sets: dict[Method, Path], tmp_path: Path
) -> None:
    short = tiny.export(tiny.distil(prepared, tmp_path / "run"), tmp_path / "short")
    with pytest.raises(
        InputError, match=r"has 1 videos a class of 8 frames, and .*short as many of 4: no random clips"
    ):
        tiny.evaluate([sets["idtd"], short], prepared, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_set_of_another_tool_gets_as_many_clips_as_it_has(prepared: Path, tmp_path: Path) -> None:
    out = tiny.evaluate([f"prepared:{prepared}"], prepared, tmp_path / "report")
    results = documents.read(ReportDocument, out).results
    assert [(one.method, one.ipc, one.stored_frames) for one in results] == [
        ("other", 5, 15 * 8), ("random", 5, 15 * CLIP_FRAMES), ("full", None, 15 * 8)
    ]  # fmt: skip


def test_a_set_that_memory_does_not_hold_is_refused(
    prepared: Path, sets: dict[Method, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "free_bytes", lambda _: 10_000)
    with pytest.raises(InputError, match=r"has 3 videos, which need 18\.4 KB of memory; 10\.0 KB are free"):
        tiny.evaluate([sets["idtd"]], prepared, tmp_path / "report")


def test_the_frames_of_a_clip_are_the_default(prepared: Path, tmp_path: Path) -> None:
    said = tiny.distil(prepared, tmp_path / "said", recipe(distill__frames=CLIP_FRAMES))
    unsaid = tiny.distil(prepared, tmp_path / "unsaid")
    assert (said / RESULT).read_bytes() == (unsaid / RESULT).read_bytes()


def test_soft_labels_are_of_each_clip(prepared: Path, tmp_path: Path) -> None:
    experts = tiny.experts(prepared, tmp_path / "experts")
    content = recipe(**settings("herding", distill__soft_labels={"teachers": 1}))
    run = RunFolder.open(tiny.distil(prepared, tmp_path / "run", content, experts=experts))
    videos, _, logits = run.result()
    assert logits is not None
    assert (videos.shape[1], logits.shape) == (FRAMES, (3, 2, 3))


def test_a_class_with_fewer_clips_than_its_videos_hold(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has 5 training clips; .* asks for 6\."):
        tiny.distil(prepared, tmp_path / "run", recipe(**settings("herding", distill__ipc=3)))


def test_a_method_that_cannot_make_such_videos_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """The recipe is one of IDTD; pixel matching, which it names as well, would make segments that nobody sees whole."""
    content = recipe(methods=("idtd", "pixel"), distill__frames=FRAMES)
    with pytest.raises(InputError, match=r"The cell pixel of .*\n.*: a segment has 8 frames"):
        reproduce.run(content, tmp_path / "out", None, "cpu", Quiet())
    assert not (tmp_path / "out").exists()
