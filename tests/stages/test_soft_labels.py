"""Soft labels on their way: experts say what they see in a finished video, a set keeps it, and students learn it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from idtd_cli import documents
from idtd_cli.distilled import DistilledSet
from idtd_cli.errors import InputError
from idtd_cli.experts_folder import ExpertsFolder
from idtd_cli.method.network import Network
from idtd_cli.method.normalisation import Normalisation, for_network
from idtd_cli.report import text
from idtd_cli.report.document import ReportDocument
from idtd_cli.run_folder import RunFolder
from idtd_cli.students import registry, scoring
from idtd_cli.students.training import LabelledVideos
from tests import tiny
from tests.tiny import contents, distil, recipe

SOFT = {"distill__soft_labels": {"teachers": 2, "temperature": 3.0}}


@pytest.fixture(scope="module")
def run(prepared: Path, experts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return distil(prepared, tmp_path_factory.mktemp("soft") / "run", recipe(**SOFT), experts=experts)


@pytest.fixture(scope="module")
def soft_set(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.export(run, tmp_path_factory.mktemp("soft") / "set")


def test_a_run_keeps_what_its_teachers_say_of_each_segment(run: Path, finished: Path, experts: Path) -> None:
    videos, labels, logits = RunFolder.open(run).result()
    plain, _, none = RunFolder.open(finished).result()
    assert torch.equal(videos, plain)  # the videos are made as without
    assert none is None
    assert logits is not None
    assert logits.shape == (len(labels), 2, 3)
    document, folder = RunFolder.open(run).document, ExpertsFolder.open(experts)
    normalisation = Normalisation(document.mean, document.std, "cpu")
    said = []
    for number in range(2):
        network = registry.build(document.recipe.distill.network, registry.Task(3, 4, 16, 16), 0, "cpu").eval()
        found = folder.snapshots(number, network.state_dict())
        network.load_state_dict({name: stacked[-1] for name, stacked in found.items()})
        # The second of two segments of two frames, seen in four: at 4 · (½ + ½ · (j + ½) / 4) − ½, but within it.
        at = torch.tensor([2.0, 2.25, 2.75, 3.0])
        low, share = at.long(), (at % 1)[:, None, None, None]
        high = (low + 1).clamp(max=3)
        clips = videos[:, low] * (1 - share) + videos[:, high] * share
        with torch.no_grad():
            said.append(network(for_network(normalisation.normalise(clips))))
    assert torch.allclose(logits[:, 1], torch.stack(said).mean(0), atol=1e-3)


def test_a_set_counts_what_soft_labels_take(soft_set: Path, exported: Path) -> None:
    soft, plain = DistilledSet.open(soft_set), DistilledSet.open(exported)
    numbers = 3 * 2 * 3
    assert soft.document.temperature == 3.0
    assert plain.document.temperature is None
    assert soft.document.stored_parameters == numbers
    assert soft.document.stored_bytes == plain.document.stored_bytes + 4 * numbers


@pytest.mark.parametrize("wanted", [True, False])
def test_students_learn_them_unless_the_protocol_says_otherwise(
    prepared: Path, soft_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: bool
) -> None:
    given: list[LabelledVideos] = []

    def recorded(students: list[Network], trains: list[LabelledVideos], *_: Any) -> None:
        given.extend(trains)

    monkeypatch.setattr(scoring, "fit_together", recorded)
    content = recipe(evaluate__soft_labels=wanted)
    report = documents.read(ReportDocument, tiny.evaluate([soft_set], prepared, tmp_path / "report", content))
    ours, *others = (train.soft for train in given[::2])
    assert others == [None, None]  # random clips and the full data have none
    if wanted:
        assert ours is not None
        assert torch.equal(ours.logits_NKC, DistilledSet.open(soft_set).logits_NKC)  # type: ignore[arg-type]
        assert ours.temperature == 3.0
    else:
        assert ours is None
    assert [result.soft_labels for result in report.results] == [wanted, False, False]
    assert ("IDTD, soft labels" in text.render(report)) == wanted


@pytest.mark.parametrize("method", ["pixel", "static-dynamic", "herding"])
def test_any_method_may_have_them(prepared: Path, experts: Path, tmp_path: Path, method: str) -> None:
    run = distil(prepared, tmp_path / "run", recipe(**SOFT, distill__method=method), experts=experts)
    videos, _, logits = RunFolder.open(run).result()
    assert logits is not None
    assert logits.shape == (len(videos), 1, 3)


def test_videos_are_validated_with_their_soft_labels(
    prepared: Path, experts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[LabelledVideos] = []

    def recorded(students: list[Network], trains: list[LabelledVideos], *_: Any) -> None:
        given.extend(trains)

    monkeypatch.setattr(scoring, "fit_together", recorded)
    content = recipe(**SOFT, distill__validate_every=2, distill__validate_students=1)
    run = distil(prepared, tmp_path / "run", content, experts=experts)
    logits = RunFolder.open(run).result()[2]
    assert logits is not None
    soft = [train.soft.logits_NKC for train in given if train.soft]
    assert len(soft) == len(given) > 1
    assert torch.equal(soft[-1], logits)
    assert not torch.equal(soft[0], logits)


def test_they_need_experts(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Soft labels need experts"):
        distil(prepared, tmp_path / "run", recipe(**SOFT))
    assert contents(tmp_path) == {}


def test_no_step_takes_the_start_as_it_is(prepared: Path, experts: Path, tmp_path: Path) -> None:
    """And its soft labels are those of its own videos."""
    start = distil(prepared, tmp_path / "start", recipe(**SOFT, distill__steps=0), experts=experts)
    one = distil(prepared, tmp_path / "one", recipe(distill__steps=1, distill__idtd__pool__step_size=1e-9,
                 distill__idtd__selectors__step_size=0, distill__idtd__fusor__step_size=0))  # fmt: skip
    assert torch.equal(RunFolder.open(start).result()[0], RunFolder.open(one).result()[0])
    assert RunFolder.open(start).result()[2] is not None
    assert (start / "metrics.jsonl").read_text() == ""
    assert json.loads((start / "run.json").read_text())["result_sha256"]
