from __future__ import annotations

import json
import shutil
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from idtd_cli import documents
from idtd_cli.distilled import DistilledSet
from idtd_cli.errors import InputError
from idtd_cli.method.network import Network
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.prepared import PreparedSet
from idtd_cli.recipe import Recipe, ScoringConfig
from idtd_cli.report import summary, text
from idtd_cli.report.document import ReportDocument, Result
from idtd_cli.stages.evaluate import scores as scores_file
from idtd_cli.students import scoring
from idtd_cli.students.training import LabelledVideos, fit_together
from tests import tiny
from tests.tiny import Heard, Impatient, contents, recipe


def read(folder: Path) -> ReportDocument:
    return documents.read(ReportDocument, folder)


def scores(folder: Path) -> dict[tuple[str, int | None], tuple[float, ...]]:
    return {(result.method, result.ipc): result.top1.values for result in read(folder).results}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The students that are trained, by their seeds."""
    seeds: list[int] = []

    def counted(*given: Any) -> None:
        *_, some, _watch = given
        seeds.extend(some)
        fit_together(*given)

    monkeypatch.setattr(scoring, "fit_together", counted)
    return seeds


def test_a_report_compares_the_set_with_random_clips_and_the_full_data(
    prepared: Path, exported: Path, reported: Path
) -> None:
    report = read(reported)
    assert (report.source, report.classes, report.chance) == ("bars", tiny.CLASSES, 1 / 3)
    assert (report.scored_split, report.scored_videos) == ("test", 3 * tiny.COUNTS["test"])
    assert report.protocol == recipe().evaluate
    assert set(report.parents) == {"prepared", "evaluate", "set 1"}
    assert report.parents["prepared"] == PreparedSet.open(prepared).document.digest()
    ours, random, full = report.results
    clip = 3 * 16 * 16
    for result, method, ipc, frames, students in (
        (ours, "idtd", 1, 3 * 4, 2),
        (random, "random", 1, 3 * 4, 2),
        (full, "full", None, 3 * 5 * 8, 1),
    ):
        assert (result.method, result.ipc) == (method, ipc)
        assert (result.stored_frames, result.stored_bytes) == (frames, frames * clip)
        assert result.top1.n == len(result.top1.values) == students
        assert all(value * 12 == round(value * 12) for value in result.top1.values)
        assert result.seconds > 0
    assert (ours.set, ours.seed, ours.segments) == (exported.name, 0, 2)
    assert (random.set, random.seed, random.segments) == (None, None, 1)
    assert {path.name for path in reported.iterdir()} == {
        "report.json", "report.html", "report.md", "clips.png", "scores.jsonl",
    }  # fmt: skip


def test_a_report_holds_more_than_a_mean(reported: Path) -> None:
    report = read(reported)
    per_class = report.scored_videos // 3
    for result in report.results:
        assert result.top5 is None  # of three classes
        assert [sum(row) for row in result.confusion] == [result.top1.n * per_class] * 3
        right = sum(result.confusion[number][number] for number in range(3))
        assert right / (result.top1.n * report.scored_videos) == pytest.approx(result.top1.mean)
        assert result.interval[0] - 1e-9 <= result.top1.mean <= result.interval[1] + 1e-9
    idtd, random, _ = report.results
    (pair,) = report.differences
    assert (pair.one, pair.other, pair.ipc, pair.students) == ("idtd", "random", 1, 2)
    assert pair.top1 == pytest.approx(idtd.top1.mean - random.top1.mean)


def test_sets_of_a_size_are_compared_with_each_other(
    prepared: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tiny.export(tiny.distil(prepared, tmp_path / "run", recipe(distill__seed=1)), tmp_path / "other")
    larger = tiny.export(tiny.distil(prepared, tmp_path / "run2", recipe(distill__ipc=2)), tmp_path / "larger")
    out = tiny.evaluate([exported, other, larger], prepared, tmp_path / "report")
    assert [(pair.one, pair.other, pair.ipc) for pair in read(out).differences] == [
        ("idtd", "random", 1), ("other", "random", 1), ("idtd", "other", 1), ("larger", "random", 2),
    ]  # fmt: skip


def test_what_each_student_is_given(
    prepared: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[bytes, bytes, int]] = []

    def recorded(students: list[Network], trains: list[LabelledVideos], *rest: Any) -> None:
        ((student,), (train,)) = students, trains
        weights = torch.cat([weight.flatten() for weight in student.parameters()]).detach().numpy().tobytes()
        augmentation = next(item for item in rest if isinstance(item, TemporalAugmentation))
        given.append((weights, train.videos_NF3HW.numpy().tobytes(), augmentation.segments))

    monkeypatch.setattr(scoring, "fit_together", recorded)
    tiny.evaluate([exported], prepared, tmp_path / "report")
    (first, ours, *_), (second, again, *_), (_, random, *_), (_, other, *_), (_, full, *_) = given
    assert ours == again == DistilledSet.open(exported).videos_NT3HW.numpy().tobytes()
    assert random != other  # every student gets clips of its own
    assert full == PreparedSet.open(prepared).clips("train")[0].numpy().tobytes()
    assert first != second  # students start from weights of their own, the same for every set
    assert [weights for weights, *_ in given] == [first, second, first, second, first]
    assert [segments for *_, segments in given] == [2, 2, 1, 1, 1]


def test_a_student_that_can_learn_learns(prepared: Path, exported: Path, tmp_path: Path) -> None:
    """Scores are of trained students, on the right labels: the bars are easy to tell apart by the full data."""
    content = recipe(
        evaluate__fit={"steps": 120, "batch": 15, "step_size": 0.05},
        evaluate__students=1,
        evaluate__student__widths=[8, 16],
        evaluate__student__dropout=0.0,
    )
    found = scores(tiny.evaluate([exported], prepared, tmp_path / "report", content))
    assert found["full", None][0] > 0.8
    assert found["random", 1][0] < found["full", None][0]


def test_a_finished_evaluation_is_left_as_it_is(
    prepared: Path, exported: Path, reported: Path, trained: list[int]
) -> None:
    before = contents(reported)
    heard = Heard()
    tiny.evaluate([exported], prepared, reported, progress=heard)
    assert heard.notes == [f"{reported} already holds this evaluation: nothing to do."]
    assert not trained
    assert contents(reported) == before


def without_seconds(report: ReportDocument) -> ReportDocument:
    results = tuple(result.model_copy(update={"seconds": 0}) for result in report.results)
    return report.model_copy(update={"results": results})


def stopped_after(students: int) -> Impatient:
    """Somebody presses Ctrl-C while the next student trains."""
    return Impatient(students * recipe().evaluate.fit.steps + 1)


@pytest.mark.parametrize("after", [0, 1, 2, 4])
def test_an_evaluation_that_was_stopped_goes_on(
    prepared: Path, exported: Path, reported: Path, tmp_path: Path, trained: list[int], after: int
) -> None:
    out = tmp_path / "report"
    with pytest.raises(KeyboardInterrupt):
        tiny.evaluate([exported], prepared, out, progress=stopped_after(after))
    assert trained == [0, 1, 0, 1, 0][: after + 1]
    assert out.exists() == (after > 0)  # an empty folder would be no report
    trained.clear()
    heard = Heard()
    tiny.evaluate([exported], prepared, out, progress=heard)
    assert heard.advanced == 5 * recipe().evaluate.fit.steps  # what was done before counts as done
    assert trained == [0, 1, 0, 1, 0][after:]
    assert without_seconds(read(out)) == without_seconds(read(reported))


def figures(report: ReportDocument) -> list[object]:
    return [(one.method, one.top1, one.interval, one.confusion) for one in report.results]


def test_students_that_train_at_once_say_the_same(
    prepared: Path, exported: Path, reported: Path, tmp_path: Path, trained: list[int]
) -> None:
    """And the report says how they were trained; what is finished is never trained again, in whichever lots."""
    out = tmp_path / "report"
    at_once = recipe(evaluate__together=2)
    with pytest.raises(KeyboardInterrupt):
        tiny.evaluate([exported], prepared, out, at_once, progress=stopped_after(2))
    assert trained == [0, 1, 0, 1]  # the second two were stopped
    trained.clear()
    heard = Heard()
    tiny.evaluate([exported], prepared, out, at_once, progress=heard)
    assert heard.advanced == 5 * recipe().evaluate.fit.steps
    assert trained == [0, 1, 0]
    assert figures(read(out)) == figures(read(reported))
    alone = read(reported).hardware
    assert read(out).hardware == f"{alone}, 2 students at once; {alone}"
    assert read(out).parents == read(reported).parents

    trained.clear()
    heard = Heard()
    tiny.evaluate([exported], prepared, out, progress=heard)
    assert heard.notes == [f"{out} already holds this evaluation: nothing to do."]
    tiny.evaluate([exported], prepared, out, recipe(evaluate__together=3, evaluate__students=4))
    assert trained == [2, 3, 2, 3]


def test_students_that_cannot_be_one_network_train_one_after_another(
    prepared: Path, exported: Path, tmp_path: Path, trained: list[int]
) -> None:
    alone = recipe(evaluate__student__name="cnn-gru")
    before = tiny.evaluate([exported], prepared, tmp_path / "alone", alone)
    asked = recipe(evaluate__student__name="cnn-gru", evaluate__together=5)
    heard = Heard()
    out = tiny.evaluate([exported], prepared, tmp_path / "asked", asked, progress=heard)
    assert heard.notes == ["cnn-gru students train one after another: several cannot be one network."]
    assert figures(read(out)) == figures(read(before))
    assert read(out).hardware == read(before).hardware
    lines = [(folder / scores_file.FILE).read_text().splitlines() for folder in (before, out)]
    said = [[json.loads(line) | {"seconds": 0, "sha256": ""} for line in each] for each in lines]
    assert said[0] == said[1]


def test_fewer_train_at_once_where_memory_is_short(
    prepared: Path, exported: Path, reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(students: list[Network], *given: Any) -> None:
        if len(students) > 1:
            raise torch.OutOfMemoryError
        fit_together(students, *given)

    monkeypatch.setattr(scoring, "fit_together", short)
    out = tiny.evaluate([exported], prepared, tmp_path / "report", recipe(evaluate__together=2))
    assert figures(read(out)) == figures(read(reported))
    assert read(out).hardware == read(reported).hardware


@pytest.mark.parametrize("cut", [1, 30])
def test_a_score_that_was_cut_off_is_made_again_once(
    prepared: Path, exported: Path, tmp_path: Path, trained: list[int], cut: int
) -> None:
    out = tmp_path / "report"
    with pytest.raises(KeyboardInterrupt):
        tiny.evaluate([exported], prepared, out, progress=stopped_after(2))
    path = out / scores_file.FILE
    path.write_bytes(path.read_bytes()[:-cut])
    trained.clear()
    with pytest.raises(KeyboardInterrupt):
        tiny.evaluate([exported], prepared, out, progress=stopped_after(3))
    tiny.evaluate([exported], prepared, out)
    assert len(trained) == (4 if cut == 1 else 5)  # one of them was stopped


def test_scores_of_another_protocol_are_not_taken(
    prepared: Path, exported: Path, tmp_path: Path, trained: list[int]
) -> None:
    out = tmp_path / "report"
    with pytest.raises(KeyboardInterrupt):
        tiny.evaluate([exported], prepared, out, progress=stopped_after(2))
    tiny.evaluate([exported], prepared, out, recipe(evaluate__fit__steps=5))
    assert len(trained) == 3 + 5


def test_the_bar_moves_while_a_student_trains(prepared: Path, exported: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, dict[str, object]]] = []

    class Told(Heard):
        def advance(self, n: int = 1, **facts: object) -> None:
            seen.append((n, facts))

    tiny.evaluate([exported], prepared, tmp_path / "report", progress=Told())
    steps = recipe().evaluate.fit.steps
    students = [("idtd", "1 of 2"), ("idtd", "2 of 2"), ("random", "1 of 2"), ("random", "2 of 2"), ("full", "1 of 1")]
    for place, (name, student) in enumerate(students):
        *updates, end = seen[place * (steps + 1) : (place + 1) * (steps + 1)]
        assert updates == [(1, {"trained_on": name, "student": student})] * steps
        assert (end[0], set(end[1])) == (0, {"trained_on", "student", "top1"})


def test_evaluating_again_gives_the_same_report(prepared: Path, exported: Path, reported: Path, tmp_path: Path) -> None:
    out = tiny.evaluate([exported], prepared, tmp_path / "report")
    assert without_seconds(read(out)) == without_seconds(read(reported))
    for name in ("report.html", "report.md", "clips.png"):
        assert (out / name).read_bytes() == (reported / name).read_bytes()


def test_the_exported_files_are_what_is_evaluated(
    prepared: Path, exported: Path, reported: Path, tmp_path: Path
) -> None:
    """Neither the run nor anything else beside the set is needed, and another set gives other scores."""
    alone = Path(shutil.copytree(exported, tmp_path / "idtd"))
    data = Path(shutil.copytree(prepared, tmp_path / "prepared"))
    report = read(tiny.evaluate([alone], data, tmp_path / "report"))
    assert without_seconds(report) == without_seconds(read(reported))
    shutil.rmtree(tmp_path / "report")
    (alone / "data/train-000000-of-000001.tar").write_bytes(b"changed")
    with pytest.raises(InputError, match="does not match its checksum"):
        tiny.evaluate([alone], data, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_several_sets(prepared: Path, exported: Path, tmp_path: Path) -> None:
    content = recipe(distill__ipc=2, distill__method="pixel")
    second = tiny.export(tiny.distil(prepared, tmp_path / "run", content), tmp_path / "two")
    content = recipe(evaluate__students=1, evaluate__full_students=0)
    report = read(tiny.evaluate([exported, second], prepared, tmp_path / "report", content))
    assert [(result.method, result.ipc, result.set, result.segments) for result in report.results] == [
        ("idtd", 1, exported.name, 2),
        ("pixel", 2, "two", 1),
        ("random", 1, None, 1),
        ("random", 2, None, 1),
    ]
    assert set(report.parents) == {"prepared", "evaluate", "set 1", "set 2"}


def test_a_set_of_random_clips_stands_beside_those_of_each_student(prepared: Path, tmp_path: Path) -> None:
    run = tiny.distil(prepared, tmp_path / "run", recipe(distill__method="random"))
    found = read(tiny.evaluate([tiny.export(run, tmp_path / "drawn")], prepared, tmp_path / "report"))
    assert [(result.method, result.set) for result in found.results] == [
        ("random", "drawn"), ("random", None), ("full", None),
    ]  # fmt: skip


def test_what_the_lossy_form_costs(
    prepared: Path, exported: Path, reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Students train on what a stranger gets who takes the MP4s for the set; all else is as it was."""
    given: dict[bytes, int] = {}

    def recorded(students: list[Network], trains: list[LabelledVideos], *rest: Any) -> None:
        (train,) = trains
        given[train.videos_NF3HW.numpy().tobytes()] = given.get(train.videos_NF3HW.numpy().tobytes(), 0) + 1
        fit_together(students, trains, *rest)

    monkeypatch.setattr(scoring, "fit_together", recorded)
    out = tiny.evaluate([exported], prepared, tmp_path / "report", recipe(evaluate__lossy=True))
    opened = DistilledSet.open(exported)
    lossy = opened.lossy_videos()
    assert not torch.equal(lossy, opened.videos_NT3HW)
    assert (lossy.float() - opened.videos_NT3HW.float()).abs().mean() == pytest.approx(
        opened.document.lossy_error, abs=1e-3
    )
    assert [given[videos.numpy().tobytes()] for videos in (opened.videos_NT3HW, lossy)] == [2, 2]

    report, before = read(out), read(reported)
    ours, theirs, *references = report.results
    assert (ours.top1, *(result.top1 for result in references)) == tuple(result.top1 for result in before.results)
    assert (theirs.method, theirs.set, theirs.form, theirs.top1.n) == ("idtd", "idtd/videos", "lossy", 2)
    assert (theirs.segments, theirs.stored_bytes, theirs.ipc) == (ours.segments, ours.stored_bytes, ours.ipc)
    pairs = {(pair.one, pair.other): pair for pair in report.differences}
    assert list(pairs) == [("idtd", "random"), ("idtd/videos", "idtd")]
    cost = pairs["idtd/videos", "idtd"]
    assert cost.top1 == pytest.approx(theirs.top1.mean - ours.top1.mean)
    assert cost.students == 2
    assert cost.interval[0] <= cost.top1 <= cost.interval[1]
    said = text.render(report)
    assert "IDTD, as MP4s for people against IDTD, 1 a class" in said


def test_mp4s_that_were_changed_are_not_judged(prepared: Path, exported: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(exported, tmp_path / "set"))
    (changed / "videos" / "left" / "0000-left-000.mp4").write_bytes(b"changed")
    tiny.evaluate([changed], prepared, tmp_path / "report")
    with pytest.raises(InputError, match=r"0000-left-000\.mp4 does not match its checksum"):
        tiny.evaluate([changed], prepared, tmp_path / "lossy", recipe(evaluate__lossy=True))
    assert not (tmp_path / "lossy").exists()


def test_one_set_at_a_time_is_in_memory(
    prepared: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table has many, and each may be large."""
    held: list[weakref.ref[torch.Tensor]] = []
    most = 0
    opened = DistilledSet.open

    def recorded(path: Path) -> DistilledSet:
        nonlocal most
        found = opened(path)
        held.append(weakref.ref(found.videos_NT3HW))
        most = max(most, sum(videos() is not None for videos in held))
        return found

    monkeypatch.setattr(DistilledSet, "open", recorded)
    others = [Path(shutil.copytree(exported, tmp_path / name)) for name in ("a", "b", "c")]
    tiny.evaluate([exported, *others], prepared, tmp_path / "report")
    assert (len(held) >= 4, most) == (True, 1)


@pytest.mark.parametrize(
    ("split", "opened", "videos"), [("test", ["train", "test"], 12), ("validation", ["train", "val"], 6)]
)
def test_only_the_split_that_is_scored_is_opened(
    prepared: Path,
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    split: str,
    opened: list[str],
    videos: int,
) -> None:
    seen = tiny.splits_opened(monkeypatch)
    report = read(tiny.evaluate([exported], prepared, tmp_path / "report", recipe(evaluate__split=split)))
    assert seen == opened
    assert (report.scored_split, report.scored_videos) == (split, videos)


def refused(match: str, out: Path, *given: Any, **options: Any) -> None:
    before = contents(out.parent)
    with pytest.raises(InputError, match=match):
        tiny.evaluate(*given, **options)
    assert contents(out.parent) == before


@pytest.mark.parametrize(
    "changes", [{"evaluate__students": 1}, {"evaluate__full_students": 0}, {"evaluate__fit__steps": 5}]
)
def test_another_evaluation_in_the_same_folder_is_refused(
    prepared: Path, exported: Path, reported: Path, changes: dict[str, int]
) -> None:
    """Also one of less: what was scored would be gone from the report."""
    refused("holds another evaluation", reported, [exported], prepared, reported, recipe(**changes))


def test_more_students_and_architectures_are_added_to_a_report(
    prepared: Path, exported: Path, reported: Path, tmp_path: Path, trained: list[int]
) -> None:
    out = Path(shutil.copytree(reported, tmp_path / "report"))
    tiny.evaluate([exported], prepared, out, recipe(evaluate__students=3))
    assert trained == [2, 2]  # the third on the set and on random clips
    before, after = read(reported).results, read(out).results
    assert [one.top1.values for one in before] == [
        one.top1.values[: old.top1.n] for old, one in zip(before, after, strict=True)
    ]
    trained.clear()
    tiny.evaluate([exported], prepared, out, recipe(evaluate__students=3, evaluate__across=["cnn-gru"]))
    assert trained == [0, 1, 2, 0, 1, 2, 0]
    assert read(out).results[:3] == after
    assert [(one.student, one.method, one.top1.n) for one in read(out).results[3:]] == [
        ("cnn-gru", "idtd", 3), ("cnn-gru", "random", 3), ("cnn-gru", "full", 1)
    ]  # fmt: skip
    assert read(out).differences == (read(out).differences[0],)  # of the protocol's student alone
    header, *rows = summary.across(read(out))
    assert header == ("trained on", "videos/class", "convnet3d %", "cnn-gru %")
    assert len(rows) == 3


def test_a_set_is_judged_as_plain_videos_too(
    prepared: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []

    def recorded(*args: Any) -> None:
        given.append(next(item for item in args if isinstance(item, TemporalAugmentation)).segments)
        fit_together(*args)

    monkeypatch.setattr(scoring, "fit_together", recorded)
    out = tiny.evaluate([exported], prepared, tmp_path / "report", recipe(evaluate__plain=True))
    report = read(out)
    assert given == [2, 2, 1, 1, 1, 1, 1]
    assert [(one.method, one.form) for one in report.results] == [
        ("idtd", "own"), ("idtd", "plain"), ("random", "own"), ("full", "own")
    ]  # fmt: skip
    assert [(pair.one, pair.other) for pair in report.differences] == [("idtd", "random"), ("idtd/plain", "idtd")]
    assert "IDTD, seen as plain videos" in text.render(report)


def test_views_of_held_out_videos_come_from_the_recipe(prepared: Path, exported: Path, tmp_path: Path) -> None:
    scored = {"views": 3, "span": 0.5, "combine": "accuracy"}
    report = read(tiny.evaluate([exported], prepared, tmp_path / "report", recipe(evaluate__scoring=scored)))
    assert [sum(row) for row in report.results[0].confusion] == [3 * 2 * tiny.COUNTS["test"]] * 3
    assert report.results[0].top1.values[0] * 36 == pytest.approx(round(report.results[0].top1.values[0] * 36))
    refused("are the same", tmp_path / "other", [exported], prepared, tmp_path / "other", of_whole_videos_thrice())


def of_whole_videos_thrice() -> Recipe:
    """A recipe for other clips, in which these views would not be the same."""
    return recipe().model_copy(
        update={"evaluate": recipe().evaluate.model_copy(update={"scoring": ScoringConfig(views=3)})}
    )


def test_a_set_that_was_chosen_on_the_test_split_is_called_that(prepared: Path, tmp_path: Path) -> None:
    rule = recipe(distill__selection="peer-best-of-test", distill__validate_every=3, distill__validate_students=1)
    heard = Heard()
    made = tiny.export(tiny.distil(prepared, tmp_path / "run", rule, progress=heard), tmp_path / "set")
    assert any("no honest figure" in note for note in heard.notes)
    assert any("on the test split" in note for note in heard.notes)
    report = read(tiny.evaluate([made], prepared, tmp_path / "report"))
    assert report.results[0].selection == "peer-best-of-test"
    assert "chosen by its score on the test videos" in text.render(report)
    assert "chosen by its score on the test videos" in (tmp_path / "report" / "report.html").read_text()


def test_what_is_found_wrong_at_no_cost_is_said_before_anything_is_read(
    prepared: Path, exported: Path, reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a large set it takes minutes to read all of it."""

    def read_it(*_: object) -> None:
        raise AssertionError("something large was read")

    empty = tiny.write_prepared(tmp_path / "empty", counts={"train": 5, "val": 0, "test": 1})
    others = Path(shutil.copytree(exported, tmp_path / "others"))
    document = json.loads((others / "set.json").read_text())
    document["classes"][0] = "up"
    (others / "set.json").write_text(json.dumps(document))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").touch()
    theirs = f"prepared:{tiny.write_prepared(tmp_path / 'theirs')}"
    monkeypatch.setattr(PreparedSet, "verify", read_it)
    monkeypatch.setattr(PreparedSet, "read", read_it)
    monkeypatch.setattr(DistilledSet, "open", read_it)
    monkeypatch.setitem(sys.modules, "ray", None)
    new, small = tmp_path / "new", {"widths": [2] * 4, "strides": [1] * 4, "kernel": [1, 1, 1]}
    for words, sets, on, out, content in [
        ("is named twice", [exported, theirs, theirs], prepared, new, recipe()),
        ("has other classes", [theirs, exported, others], prepared, new, recipe()),
        ("already holds something else", [exported], prepared, tmp_path / "taken", recipe()),
        ("holds another evaluation", [theirs], prepared, reported, recipe(evaluate__students=1)),
        ("too small for block 4", [exported], prepared, new, recipe(evaluate__student=small)),
        ("has no validation clips", [exported], empty, new, recipe(evaluate__split="validation")),
        ("are the same", [exported], prepared, new, of_whole_videos_thrice()),
        ("engine ray is not installed", [exported], prepared, new, recipe(evaluate__engine="ray")),
    ]:  # fmt: skip
        refused(words, out, sets, on, out, content)


def test_a_set_that_is_named_twice_is_refused(prepared: Path, exported: Path, tmp_path: Path) -> None:
    refused("is named twice", tmp_path / "out", [exported, exported], prepared, tmp_path / "out")


def test_a_report_grows_and_no_student_is_trained_twice(
    prepared: Path, exported: Path, reported: Path, tmp_path: Path, trained: list[int]
) -> None:
    out = Path(shutil.copytree(reported, tmp_path / "report"))
    other = tiny.export(tiny.distil(prepared, tmp_path / "run", recipe(distill__seed=1)), tmp_path / "other")
    tiny.evaluate([exported, other], prepared, out)
    assert trained == [0, 1]
    before, (ours, new, random, full) = read(reported).results, read(out).results
    assert (ours.top1, random.top1, full.top1) == tuple(result.top1 for result in before)
    assert (new.set, new.seed) == ("other", 1)
    refused("holds another evaluation", out, [other], prepared, out)


def test_something_else_in_the_folder_is_refused(prepared: Path, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").touch()
    refused("already holds something else", out, [exported], prepared, out)
    refused("already holds something else", out, [exported], prepared, out / "thesis.tex")
    refused("cannot be made", out, [exported], prepared, out / "thesis.tex" / "report")


def test_a_set_of_other_classes_is_refused(prepared: Path, exported: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(exported, tmp_path / "other"))
    document = json.loads((other / "set.json").read_text())
    document["classes"][0] = "up"
    (other / "set.json").write_text(json.dumps(document))
    refused("has other classes", tmp_path / "report", [exported, other], prepared, tmp_path / "report")


def test_a_set_of_other_clips_is_refused(exported: Path, tmp_path: Path) -> None:
    content = recipe(prepare__clip__stored_frames=16)
    other = tiny.write_prepared(tmp_path / "prepared", content)
    refused("has other clips", tmp_path / "report", [exported], other, tmp_path / "report", content)


def test_a_set_of_a_method_that_this_version_does_not_know_is_refused(
    prepared: Path, exported: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(exported, tmp_path / "other"))
    document = json.loads((other / "set.json").read_text()) | {"method": "magic"}
    (other / "set.json").write_text(json.dumps(document))
    refused("made by the method magic", tmp_path / "report", [other], prepared, tmp_path / "report")


def test_a_student_that_cannot_take_the_clips_is_refused(prepared: Path, exported: Path, tmp_path: Path) -> None:
    student = {"widths": [2] * 4, "strides": [1] * 4, "kernel": [1, 1, 1]}
    out = tmp_path / "report"
    refused("too small for block 4", out, [exported], prepared, out, recipe(evaluate__student=student))


def test_an_empty_validation_split_is_refused(exported: Path, tmp_path: Path) -> None:
    other = tiny.write_prepared(tmp_path / "prepared", counts={"train": 5, "val": 0, "test": 1})
    out = tmp_path / "report"
    refused("has no validation clips", out, [exported], other, out, recipe(evaluate__split="validation"))


def test_spread_is_over_students(reported: Path) -> None:
    results: tuple[Result, ...] = read(reported).results
    for result in results:
        values = torch.tensor(result.top1.values, dtype=torch.float64)
        assert result.top1.mean == pytest.approx(values.mean().item())
        assert result.top1.std == pytest.approx(values.std().item() if len(values) > 1 else 0)
