"""Static-dynamic through the stages: it makes more videos than the others, of fewer numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from idtd_cli import documents
from idtd_cli.distilled import DistilledSet
from idtd_cli.report.document import ReportDocument
from idtd_cli.run_folder import RESULT, RunFolder
from idtd_cli.stages import show
from tests import tiny
from tests.tiny import Impatient, recipe

CONTENT = recipe(distill__method="static-dynamic", distill__ipc=2)
#: 2 units a class of 2 images of 3 channels and 2 memories of 4 frames of 1; the convolution.
VALUES, PARAMETERS = 3 * 2 * (2 * 3 + 2 * 4) * 16 * 16, 327


@pytest.fixture(scope="module")
def run(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.distil(prepared, tmp_path_factory.mktemp("static-dynamic") / "run", CONTENT)


@pytest.fixture(scope="module")
def made(run: Path) -> Path:
    return tiny.export(run, run.parent / "set")


def test_a_run_renders_every_pair_and_counts_what_they_are_rendered_from(run: Path) -> None:
    found = RunFolder.open(run)
    videos, labels, _ = found.result()
    assert videos.shape == (3 * 8, 4, 3, 16, 16)
    assert labels.tolist() == [label for label in range(3) for _ in range(8)]
    assert len({video.numpy().tobytes() for video in videos}) == len(videos)
    assert (found.document.stored_values, found.document.stored_parameters) == (VALUES, PARAMETERS)


def test_the_seed_decides_every_byte(prepared: Path, run: Path, tmp_path: Path) -> None:
    assert (tiny.distil(prepared, tmp_path / "again", CONTENT) / RESULT).read_bytes() == (run / RESULT).read_bytes()
    other = recipe(distill__method="static-dynamic", distill__ipc=2, distill__seed=1)
    assert (tiny.distil(prepared, tmp_path / "other", other) / RESULT).read_bytes() != (run / RESULT).read_bytes()


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_run_that_was_stopped_in_either_half_goes_on(prepared: Path, run: Path, tmp_path: Path, after: int) -> None:
    """Six steps, the first three of which learn the images."""
    content = recipe(distill__method="static-dynamic", distill__ipc=2, distill__checkpoint_every=1)
    with pytest.raises(KeyboardInterrupt):
        tiny.distil(prepared, tmp_path / "run", content, progress=Impatient(after))
    tiny.distil(prepared, tmp_path / "run", content, resume=True)
    assert (tmp_path / "run" / RESULT).read_bytes() == (run / RESULT).read_bytes()


def test_a_set_holds_the_rendered_videos_and_says_what_they_take(run: Path, made: Path) -> None:
    found = DistilledSet.open(made)
    assert torch.equal(found.videos_NT3HW, RunFolder.open(run).result()[0])
    document = found.document
    assert (document.ipc, document.videos_a_class, document.segments) == (2, 8, 1)
    assert document.stored_bytes == VALUES + 4 * PARAMETERS
    assert document.stored_frames == -(-VALUES // (3 * 16 * 16))
    assert document.stored_parameters == PARAMETERS
    assert sorted(path.name for path in (made / "videos" / "right").iterdir()) == [
        f"0001-right-{number:03d}.mp4" for number in range(8)
    ]


def test_show_says_that_the_videos_were_rendered(made: Path) -> None:
    text = show.run(made)
    assert "8 a class of 3" in text
    assert "28 frames, 22.8 KB uncompressed, from which the videos were rendered" in text


def test_a_report_compares_it_by_what_it_stores(prepared: Path, exported: Path, made: Path, tmp_path: Path) -> None:
    report = documents.read(ReportDocument, tiny.evaluate([exported, made], prepared, tmp_path / "report"))
    by_method = {(result.method, result.ipc): result for result in report.results}
    assert set(by_method) == {("idtd", 1), ("static-dynamic", 2), ("random", 1), ("random", 2), ("full", None)}
    ours = by_method["static-dynamic", 2]
    assert (ours.stored_bytes, ours.stored_frames, ours.stored_parameters) == (VALUES + 4 * PARAMETERS, 28, PARAMETERS)
    page = (tmp_path / "report/report.html").read_text(encoding="utf-8")
    assert "static-dynamic is counted as what its videos are rendered from" in page
