from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from idtd_cli import distilled, documents
from idtd_cli.distilled import SetDocument
from idtd_cli.hub import beside, card
from idtd_cli.hub.fetching import BESIDE, WRITTEN
from idtd_cli.report.document import ReportDocument
from idtd_cli.storage import sha256_bytes
from tests.hub.test_card import EVIL, SAMPLE
from tests.report.making import report

#: Of the Citation File Format 1.2.0 what a file of ours may use; a reference has its own keys.
TOP = {
    "abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords",
    "license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact",
    "repository-code", "title", "type", "url", "version",
}  # fmt: skip
REFERENCE = {"abstract", "authors", "doi", "identifiers", "journal", "license", "title", "type", "url", "year"}
REFERENCES = {"article", "data", "software"}
PERSON = ({"name"}, {"family-names", "given-names"})


def cff_problems(text: str) -> list[str]:
    """What is wrong with a CITATION.cff by the rules of its format."""
    facts = yaml.safe_load(text)
    found = [f"{key} is no key" for key in set(facts) - TOP]
    found += [f"{key} is missing" for key in ("authors", "cff-version", "message", "title") if not facts.get(key)]
    if facts.get("cff-version") != "1.2.0" or facts.get("type") not in ("dataset", "software"):
        found.append("version or type")
    for part in (facts, *facts.get("references", [])):
        if part is not facts:
            found += [f"{key} is no key of a reference" for key in set(part) - REFERENCE]
            found += [f"{part.get('type')} is no reference"] * (part.get("type") not in REFERENCES)
            found += [f"a reference lacks {key}" for key in ("authors", "title", "type") if not part.get(key)]
        found += [f"{one} is nobody" for one in part["authors"] if set(one) not in PERSON or not all(one.values())]
        found += [f"{one} identifies nothing" for one in part.get("identifiers", []) if not identifies(one)]
        if "url" in part and not re.match(r"(https?|s?ftp)://.+", part["url"]):
            found.append(f"{part['url']} is no address")
        if not isinstance(part["title"], str) or "\n" in part["title"]:
            found.append("title")
    return found


def identifies(one: dict[str, str]) -> bool:
    return set(one) <= {"type", "value", "description"} and one["type"] == "other" and bool(one["value"])


@pytest.fixture
def document(exported: Path) -> SetDocument:
    return documents.read(SetDocument, exported)


def render(document: SetDocument, digest: str = "mine", **given: Any) -> dict[str, bytes]:
    return beside.render(
        "me/motions", "https://hub/datasets/me/motions", document, digest, SAMPLE, "cc-by-4.0", **given
    )


def test_it_is_the_same_each_time(exported: Path, reported: Path, document: SetDocument) -> None:
    """Whatever the moment and the place: publishing the same set again changes nothing."""
    results = (reported / "report.json").read_bytes()
    evaluated = documents.read(ReportDocument, reported)
    found = render(document, distilled.digest(exported), report=evaluated, results=results)
    assert found == render(document, distilled.digest(exported), report=evaluated, results=results)
    assert set(found) == WRITTEN < BESIDE
    assert str(exported.parent).encode() not in b"".join(found.values())


def test_the_citation_has_the_form_that_is_asked_for(document: SetDocument) -> None:
    evaluated = report(source=EVIL)
    for given in ({}, {"report": report(), "results": b"{}"}, {"report": evaluated, "results": b"{}"}):
        text = render(document, **given)["CITATION.cff"].decode()
        assert cff_problems(text) == []
    facts = yaml.safe_load(render(document, report=report(), results=b"")["CITATION.cff"])
    assert facts["title"] == "me/motions: IDTD: a distilled set of bars"
    assert (facts["authors"], facts["url"]) == ([{"name": "me"}], "https://hub/datasets/me/motions")
    assert facts["identifiers"][0]["value"] == "sha256:mine"
    assert [(one["type"], one["title"][:9]) for one in facts["references"]] == [
        ("article", "Video Set"), ("data", "bars"), ("software", "idtd"),
    ]  # fmt: skip


def test_the_form_is_looked_at() -> None:
    """What says that a citation is right says of others that they are wrong; this project's own is right."""
    assert cff_problems((Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8")) == []
    wrong = {"cff-version": "1.2.0", "message": "m", "title": "t", "type": "set", "authors": [{"nom": "x"}], "year": 1}
    assert len(cff_problems(yaml.safe_dump(wrong))) == 3


def test_the_card_cites_the_same_paper(document: SetDocument) -> None:
    text = card.render("me/x", document, "mine", SAMPLE, "mit")
    [paper, _] = yaml.safe_load(render(document)["CITATION.cff"])["references"]
    authors = " and ".join(f"{one['family-names']}, {one['given-names']}" for one in paper["authors"])
    for words in (paper["title"], authors, paper["identifiers"][0]["value"], str(paper["year"])):
        assert words in text


def test_provenance_is_what_the_documents_say(exported: Path, reported: Path, document: SetDocument) -> None:
    results = (reported / "report.json").read_bytes()
    evaluated = documents.read(ReportDocument, reported)
    digest = distilled.digest(exported)
    found = json.loads(render(document, digest, report=evaluated, results=results)["provenance.json"])
    assert document.recipe
    assert found["set"] == {
        "sha256": digest, "method": "idtd", "seed": 0, "recipe": document.recipe.digest(),
        "code": document.created_by, "device": "cpu", "versions": document.versions,
    }  # fmt: skip
    assert "torch" in document.versions
    assert found["source"]["name"] == evaluated.source == "bars"
    assert found["source"]["prepared"] == found["evaluation"]["prepared"] == document.parents["prepared"]
    assert found["evaluation"]["sha256"] == sha256_bytes(results)
    assert (found["evaluation"]["hardware"], found["made_from"]) == (evaluated.hardware, document.parents)


def test_of_what_nobody_wrote_down_nothing_is_said(document: SetDocument) -> None:
    old = document.model_copy(update={"recipe": None, "device": None, "versions": {}, "parents": {}})
    found = json.loads(render(old)["provenance.json"])
    assert found["evaluation"] is None
    assert found["source"] == {"name": None, "prepared": None, "split": None}
    assert b"Distilled on" not in render(old)["README.md"]
    assert b"labelled videos of somebody else's" in render(old)["LICENSE"]
