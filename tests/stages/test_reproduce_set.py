"""`idtd reproduce --from`, against a Hub on this machine, with videos that were drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from idtd_cli import documents
from idtd_cli.demo import defaults
from idtd_cli.errors import InputError
from idtd_cli.hub.client import Place
from idtd_cli.hub.fetching import RESULTS
from idtd_cli.report.document import ReportDocument
from idtd_cli.stages import demo_data, publish, reproduce, reproduce_set
from idtd_cli.stages.reproduce_set import Reproduced
from tests.hub_server import Account, Hub, Repo
from tests.tiny import Heard, contents, recipe

NAME = "me/motions"


@pytest.fixture(scope="module")
def made(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of these videos, and a report on it and on another."""
    out = tmp_path_factory.mktemp("made") / "out"
    reproduce.run(recipe(evaluate__plain=True), out, videos, "cpu", Heard())
    return out


@pytest.fixture
def there(hub: Hub, made: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """The set on the Hub, as v1."""
    hub.accounts["t"] = Account("me")
    monkeypatch.setenv("HF_TOKEN", "t")
    publish.run(made / "sets/idtd", NAME, Heard(), report=made / "report", licence="other", tag="v1")
    return hub.repos[NAME]


def run(out: Path, source: Path | None, *overrides: str, name: str = f"{NAME}@v1") -> tuple[Reproduced, list[str]]:
    heard = Heard()
    return reproduce_set.run(Place.parse(name), out, source, overrides, "cpu", heard), heard.notes


def changed(repo: Repo, change: Callable[[dict[str, Any]], None]) -> str:
    """A commit with other published figures of the set."""
    content = json.loads(repo.files[RESULTS])
    del content["sha256"]  # which whoever changes a report could write as well
    [own] = [result for result in content["results"] if result["set"] == "idtd"]
    change(own)
    return repo.commit(repo.files | {RESULTS: json.dumps(content).encode()})


def other(own: dict[str, Any]) -> None:
    """All students right or none, whichever is farther away, and all that follows from it."""
    value = float(own["top1"]["mean"] < 0.5)
    own["top1"] |= {"values": [value] * own["top1"]["n"], "mean": value, "std": 0.0}
    own["interval"] = [value, value]
    own["confusion"] = answers(own, bool(value))


def answers(own: dict[str, Any], right: bool) -> list[list[int]]:
    """The confusion matrix of a result, if all were right, or all wrong."""
    counts = [sum(row) for row in own["confusion"]]
    found = [label if right else (label + 1) % len(counts) for label in range(len(counts))]
    return [[count * (column == found[label]) for column in range(len(counts))] for label, count in enumerate(counts)]


def less_alike(own: dict[str, Any]) -> None:
    own["top1"]["std"] += 0.2


def better(own: dict[str, Any]) -> None:
    own["top1"]["mean"] = 0.999


def test_the_figures_come_out_on_videos_of_one_s_own(there: Repo, made: Path, videos: Path, tmp_path: Path) -> None:
    done, notes = run(tmp_path / "out", videos)
    assert [(one.expected.of, one.verdict) for one in done.compared] == [
        ("IDTD", "as expected"),
        ("IDTD, seen as plain videos", "as expected"),
        ("random real clips", "as expected"),
        ("full data", "as expected"),
    ]
    published = documents.read(ReportDocument, made / "report")
    theirs = {(one.method, one.form): one.top1 for one in published.results}
    assert {(one.method, one.form): one.top1 for one in done.report.results}.items() <= theirs.items()
    assert f"The clips are, byte for byte, those that the figures of {NAME}@v1 were measured on." in notes
    assert contents(tmp_path / "out/set") == contents(made / "sets/idtd")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["prepared", "recipe.yaml", "report", "set"]


def test_another_name_of_the_folder_makes_no_other_clips(there: Repo, videos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(videos)
    _, notes = run(tmp_path / "out", tmp_path / "mine")
    assert not [note for note in notes if note.startswith("Warning")]


def test_again_there_is_nothing_to_do(
    there: Repo, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, _ = run(tmp_path / "out", videos)
    before = contents(tmp_path / "out")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # HF_HUB_OFFLINE=1, read when the client is imported
    again, notes = run(tmp_path / "out", videos)
    assert again == done
    assert contents(tmp_path / "out") == before
    assert len([note for note in notes if note.endswith("nothing to do.")]) == 3


def test_the_demo_set_needs_no_source(there: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"CLASSES": 3, "TRAIN": 4, "TEST": 2, "SIZE": 32, "FRAMES": 12}.items():  # of `videos`
        monkeypatch.setattr(defaults, key, value)
    done, notes = run(tmp_path / "out", None)
    assert {one.verdict for one in done.compared} == {"as expected"}
    assert any("byte for byte, those" in note for note in notes)


def test_other_videos_of_the_same_classes_are_told_and_gone_on_with(there: Repo, tmp_path: Path) -> None:
    demo_data.run(tmp_path / "other", classes=3, train=4, test=2, size=32, frames=12, seed=1, progress=Heard())
    done, notes = run(tmp_path / "out", tmp_path / "other")
    assert len(done.compared) == 4
    [warning] = [note for note in notes if note.startswith("Warning")]
    assert "the clips are not, byte for byte, those that the figures of me/motions@v1 were measured on" in warning


def test_how_many_students_there_are_is_the_user_s(there: Repo, videos: Path, tmp_path: Path) -> None:
    done, _ = run(tmp_path / "out", videos, "evaluate.students=1", "evaluate.full_students=0", "evaluate.plain=false")
    assert [one.expected.of for one in done.compared] == ["IDTD", "random real clips"]
    assert [result.top1.n for result in done.report.results] == [1, 1]
    for override in ("evaluate.fit.steps=5", "prepare.clip.height=8"):
        with pytest.raises(InputError, match=rf"With {override} something else would be measured") as raised:
            run(tmp_path / "other", videos, override)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("change", [other, better, less_alike])
def test_figures_that_were_changed_do_not_come_out(
    there: Repo, videos: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    commit = changed(there, change)
    if change is not other:
        with pytest.raises(InputError, match="published figure of IDTD contradicts itself"):
            run(tmp_path / "out", videos, name=f"{NAME}@{commit}")
        assert not (tmp_path / "out" / "prepared").exists()  # nothing was trained for it
    else:
        done, _ = run(tmp_path / "out", videos, name=f"{NAME}@{commit}")
        assert [one.expected.of for one in done.compared if one.is_outside] == ["IDTD"]


def test_what_cannot_be_reproduced_takes_a_sentence(
    hub: Hub, there: Repo, made: Path, exported: Path, videos: Path, tmp_path: Path
) -> None:
    publish.run(made / "sets/pixel", "me/bare", Heard(), licence="other")
    publish.run(exported, "me/bars", Heard(), licence="other")
    hub.repos["me/bars"].commit(hub.repos["me/bars"].files | {RESULTS: there.files[RESULTS]})
    hub.repos["me/bare"].refs["damaged"] = hub.repos["me/bare"].commit(hub.repos["me/bare"].files | {RESULTS: b"{"})
    for name, words in [
        ("me/else", "There is no dataset me/else on the Hub"),
        (f"{NAME}@v9", "has no revision v9"),
        ("motions", "'motions' is no dataset on the Hub"),
        ("me/bars", r"evaluation/results.json of me/bars reports on other sets"),
        ("me/bare@damaged", r"me/bare@damaged: evaluation/results.json is not readable"),
    ]:
        with pytest.raises(InputError, match=words) as raised:
            run(tmp_path / name, videos, name=name)
        assert "\n" not in str(raised.value)
    [first, *_] = [c for c, f in hub.repos["me/bare"].commits.items() if "set.json" in f]
    with pytest.raises(InputError, match="was published without a report: there is nothing to compare with"):
        run(tmp_path / "bare", videos, name=f"me/bare@{first}")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").touch()
    with pytest.raises(InputError, match="already holds something else"):
        run(tmp_path / "taken", videos)


def test_another_source_is_refused_before_it_is_prepared(
    there: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo_data.run(tmp_path / "four", classes=4, train=2, test=1, size=32, frames=12, progress=Heard())
    with pytest.raises(InputError, match=r"four has other classes than me/motions@v1, which was made from demo"):
        run(tmp_path / "out", tmp_path / "four")
    assert not (tmp_path / "out/prepared").exists()
    monkeypatch.setattr(reproduce_set, "MOTIONS", {"kayaking": None})
    with pytest.raises(InputError, match=r"was made from demo, not from the demo set\. Name your own copy .* --source"):
        run(tmp_path / "out", None)
    assert not (tmp_path / "out/data").exists()
