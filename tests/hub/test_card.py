from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import DatasetCard

from idtd_cli import distilled, documents
from idtd_cli.distilled import SetDocument
from idtd_cli.hub import card
from idtd_cli.hub.card import Sample
from idtd_cli.report.caveats import caveats
from idtd_cli.report.document import Difference, ReportDocument
from tests.hub_server import _card_errors
from tests.report.making import report, result

SAMPLE = Sample(("cls", "json", "mp4"), {"class": "left", "label": 0, "logits": [[0.5, 1.0]], "temperature": 6.0})
EVIL = '<script>alert("1")</script>\n| # [x](http://y) `code` {{ 7 * 7 }}\n---\n'


@pytest.fixture
def document(exported: Path) -> SetDocument:
    return documents.read(SetDocument, exported)


def evaluation(**changes: Any) -> ReportDocument:
    pixel = result("pixel", 1, [0.4, 0.6])
    idtd = result("idtd", 1, [0.5, 0.7, 0.6])
    other = result("idtd", 5, [0.9, 0.9], set="five")
    return report(
        result("full", None, [0.9]), pixel, idtd, other, result("random", 1, [0.3, 0.3]), result("random", 5, [0.4]),
        parents={"prepared": "0123", "set 1": "p", "set 2": "mine", "set 3": "five"},
        differences=(
            Difference(one="idtd", other="random", ipc=1, students=2, top1=0.3, interval=(0.1, 0.5)),
            Difference(one="pixel", other="idtd", ipc=1, students=2, top1=-0.1, interval=(-0.3, 0.1)),
            Difference(one="five", other="random", ipc=5, students=1, top1=0.5, interval=(0.4, 0.6)),
        ),
        **changes,
    )  # fmt: skip


def test_the_table_has_the_set_first_and_what_is_beside_it(document: SetDocument) -> None:
    text = card.render("me/motions", document, "mine", SAMPLE, "cc-by-4.0", evaluation())
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert [(row[0], row[1], row[4], row[5], row[-1]) for row in rows if row[0] != "---"] == [
        ("trained on", "videos a class", "top-1", "95 % interval", "n"),
        ("IDTD, this set", "1", "60.0 ± 10.0", "45.0 to 75.0", "3"),
        ("random real clips", "1", "30.0 ± 0.0", "25.0 to 35.0", "2"),
        ("pixel matching", "1", "50.0 ± 14.1", "35.0 to 65.0", "2"),
        ("full data", "all", "90.0 ± 0.0", "85.0 to 95.0", "1"),
    ]
    assert re.findall(r"^- Against (.*)$", text, re.M) == [
        "random real clips: +30.0 points, 95 % interval +10.0 to +50.0, 2 pairs of students: better.",
        "pixel matching: +10.0 points, 95 % interval -10.0 to +30.0, 2 pairs of students: within the noise.",
    ]
    for words in ("40 test videos of 2 classes (chance 50.0)", "Measured on a machine; python 3, torch 2."):
        assert words in text
    assert "for tuning" not in text
    assert "for tuning" in card.render("me/x", document, "mine", SAMPLE, "mit", evaluation(scored_split="validation"))


@pytest.mark.parametrize(
    ("frames", "words"), [(4, "equal length and stretch a piece to 4 frames:"), (8, "equal length:")]
)
def test_how_pieces_are_seen(document: SetDocument, frames: int, words: str) -> None:
    longer = document.model_copy(update={"frames": frames})  # of two pieces, and networks see four frames
    text = card.render("me/motions", longer, "mine", SAMPLE, "cc-by-4.0")
    assert f"{frames} frames of 16×16; each video is 2 pieces in a row" in text
    assert f"Cut each video into 2 pieces of {words}" in text


def test_other_forms_of_the_set_and_other_students_are_beside_it(document: SetDocument) -> None:
    """A report has a result for each; the set is found by its own, and the warnings are those of the report."""
    plain = result("idtd", 1, [0.2, 0.2, 0.2], set="idtd/plain", form="plain")
    pair = Difference(one="idtd/plain", other="idtd", ipc=1, students=3, top1=-0.4, interval=(-0.6, -0.2))
    found = evaluation()
    strangers = [one.model_copy(update={"student": "cnn-gru"}) for one in (*found.results, plain)]
    found = found.model_copy(
        update={
            "results": (*found.results[:3], plain, *found.results[3:], *strangers),
            "differences": (*found.differences, pair),
            "protocol": found.protocol.model_copy(update={"across": ("cnn-gru",), "plain": True}),
        }
    )
    own = card.own_result(found, "mine")
    assert own is not None
    assert (own.set, own.student, own.form) == ("idtd", "convnet3d", "own")
    text = card.render("me/motions", document, "mine", SAMPLE, "cc-by-4.0", found)
    assert "| IDTD, seen as plain videos, this set | 1 |" in text
    assert "Against IDTD, seen as plain videos: +40.0 points" in text
    assert "| trained on | videos/class | convnet3d % | cnn-gru % |" in text
    for line in caveats(found):
        assert line.split()[0] in text


def test_every_figure_is_one_of_the_documents(exported: Path, reported: Path, document: SetDocument) -> None:
    """Numbers with a point in the prose and the table come from set.json or report.json."""
    evaluated = documents.read(ReportDocument, reported)
    text = card.render("me/motions", document, distilled.digest(exported), SAMPLE, "other", evaluated)
    prose = re.sub(r"```.*?```|^---\n.*?\n---\n", "", text, flags=re.S)
    top1 = [value for each in evaluated.results for value in (each.top1.mean, each.top1.std, *each.interval)]
    apart = [value for each in evaluated.differences for value in (each.top1, *each.interval)]
    known = {f"{abs(100 * value):.1f}" for value in (evaluated.chance, *top1, *apart)}
    known |= {f"{value:g}" for value in (*document.mean, *document.std)}
    known |= {f"{each.stored_bytes / 1000:.1f}" for each in evaluated.results}
    known |= {figure for line in caveats(evaluated) for figure in re.findall(r"\d+\.\d+", line)}
    versions = " ".join([document.created_by, evaluated.hardware, *evaluated.versions.values()])
    versions += " ".join(document.versions.values())
    left = [figure for figure in re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", prose) if figure not in versions]
    assert set(left) - known <= {"2412.00111"}


def test_the_front_matter_is_that_of_a_dataset(document: SetDocument) -> None:
    text = card.render("me/motions", document, "mine", SAMPLE, "cc-by-4.0", evaluation())
    assert _card_errors(text) == []
    facts = yaml.safe_load(text.split("---\n")[1])
    assert DatasetCard(text).data.to_dict() == facts
    assert facts["license"] == "cc-by-4.0"
    assert facts["configs"] == [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*.tar"}]}
    ]
    datasets = pytest.importorskip("datasets")
    features = datasets.Features._from_yaml_list(facts["dataset_info"]["features"])
    assert features["cls"].names == list(document.classes)
    assert features["json"]["logits"] == datasets.List(datasets.List(datasets.Value("float64")))
    assert features["json"]["label"] == datasets.Value("int64")
    assert isinstance(features["mp4"], datasets.Video)


def test_text_from_data_is_only_text(document: SetDocument) -> None:
    named = document.model_copy(update={"classes": (EVIL, "b", "c"), "created_by": EVIL, "parents": {EVIL: EVIL}})
    text = card.render("me/x", named, "mine", SAMPLE, "mit", evaluation(source=EVIL, hardware=EVIL), [EVIL])
    front, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, re.S).groups()  # type: ignore[union-attr]
    features = yaml.safe_load(front)["dataset_info"]["features"]
    assert next(f for f in features if f["name"] == "cls")["dtype"]["class_label"]["names"]["0"] == EVIL
    spans = re.sub(r"(?<!\\)`[^`\n]*`", "", body)  # in code, nothing means anything
    assert "<script>" not in spans
    assert not re.search(r"(?<!\\)\]\(http://y\)", spans)
    assert not re.search(r"(?<!\\)\{\{", spans)
    assert "\n---\n" not in body
    assert "\n| #" not in body
    assert DatasetCard(text).data.license == "mit"


def test_a_recipe_with_backticks_stays_in_its_fence(document: SetDocument) -> None:
    assert document.recipe
    recipe = document.recipe.model_copy(update={"description": "````"})
    text = card.render("me/x", document.model_copy(update={"recipe": recipe}), "mine", SAMPLE, "mit")
    assert "`````yaml\nname: tiny\n" in text


def test_without_a_report_nothing_is_said_of_results(document: SetDocument) -> None:
    text = card.render("me/x", document, "mine", SAMPLE, "other")
    assert "No evaluation was published with this set." in text
    assert "results.json" not in text
    assert "source_datasets" not in text
    assert card.render("me/x", document.model_copy(update={"recipe": None}), "mine", SAMPLE, "other").count("yaml") == 0


def test_chosen_clips_are_not_called_synthetic(document: SetDocument) -> None:
    chosen = document.model_copy(update={"method": "herding"})
    text = card.render("me/x", chosen, "mine", SAMPLE, "other")
    assert "synthetic" not in text
    assert "annotations_creators" not in text
    assert "whoever is seen in the source can be seen here" in text


def test_pictures_of_the_set_are_shown(document: SetDocument) -> None:
    text = card.render("me/x", document, "mine", SAMPLE, "other", pictures=["preview/a b.png"])
    assert "![preview/a b.png](preview/a%20b.png)" in text


def test_shards_of_tensors(document: SetDocument) -> None:
    text = card.render("me/x", document, "mine", Sample(("cls", "json", "safetensors"), {"label": 0}), "other")
    for block in re.findall(r"```python\n(.*?)\n```", text, re.S):
        compile(block, "card", "exec")
        assert "mp4" not in block
    assert 'safetensors.numpy.load(row["safetensors"])' in text


@pytest.mark.parametrize(("digest", "found"), [("mine", ("idtd", 1)), ("five", ("idtd", 5)), ("p", ("pixel", 1))])
def test_the_result_of_a_set_is_found_by_its_digest(digest: str, found: tuple[str, int]) -> None:
    own = card.own_result(evaluation(), digest)
    assert own
    assert (own.method, own.ipc) == found


def test_a_report_of_other_sets() -> None:
    assert card.own_result(evaluation(), "theirs") is None
    assert card.own_result(evaluation(), "0123") is None  # of the prepared set
