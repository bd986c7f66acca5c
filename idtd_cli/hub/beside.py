"""What lies on the Hub beside a set, made of set.json and report.json alone: the same set again gives the same bytes.

README.md               the card, for people
LICENSE                 the licence as its publisher named it, and the terms of the source
CITATION.cff            how to cite it
provenance.json         what made it, for programs, in one place; its facts are those of set.json and of the report
evaluation/results.json the report
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from idtd_cli import storage
from idtd_cli.distilled import SetDocument
from idtd_cli.hub import card, citation
from idtd_cli.hub.card import Sample
from idtd_cli.hub.fetching import CARD, CITATION, LICENCE, PROVENANCE, RESULTS
from idtd_cli.recipe import section_digest
from idtd_cli.report.document import ReportDocument


def render(
    name: str,
    page: str,
    document: SetDocument,
    digest: str,
    sample: Sample,
    licence: str,
    terms: str | None = None,
    report: ReportDocument | None = None,
    results: bytes | None = None,
    pictures: Sequence[str] = (),
) -> dict[str, bytes]:
    """Path → content.

    Args:
        name: OWNER/NAME.
        page: its address.
        document: what the set is.
        digest: of the set.
        sample: what its shards hold.
        licence: as the publisher named it.
        terms: those of the source, word by word.
        report: an evaluation of the set, if there is one.
        results: its file.
        pictures: files of the set to show.
    """
    source = report.source if report else None
    texts = {
        CARD: card.render(name, document, digest, sample, licence, report, pictures),
        LICENCE: _licence(name, licence, source, terms),
        CITATION: citation.render(name, page, card.title(document, report), digest, source),
        PROVENANCE: json.dumps(provenance(document, digest, report, results), indent=2, ensure_ascii=False) + "\n",
    }
    return {path: text.encode() for path, text in texts.items()} | ({RESULTS: results} if results is not None else {})


def provenance(
    document: SetDocument, digest: str, report: ReportDocument | None, results: bytes | None
) -> dict[str, Any]:
    """What made a set, and what its figures were measured with; null is what nobody wrote down."""
    return {
        "kind": "provenance",
        "set": {
            "sha256": digest,
            "method": document.method,
            "seed": document.seed,
            "recipe": document.recipe.digest() if document.recipe else None,
            "code": document.created_by,
            "device": document.device,
            "versions": document.versions,
        },
        "source": {
            "name": report.source if report else None,
            "prepared": document.parents.get("prepared"),
            "split": document.recipe.prepare.split.model_dump(mode="json") if document.recipe else None,
        },
        "made_from": document.parents,
        "evaluation": None
        if report is None
        else {
            "sha256": storage.sha256_bytes(results or b""),
            "protocol": section_digest(report.protocol),
            "prepared": report.parents.get("prepared"),
            "code": report.created_by,
            "hardware": report.hardware,
            "versions": report.versions,
        },
    }


def _licence(name: str, licence: str, source: str | None, terms: str | None) -> str:
    origin = " ".join(source.split()) if source else "labelled videos of somebody else's"
    text = (
        f"{name} is a distilled video set. Its licence, as named by whoever published it: {licence}\n\n"
        f"It derives from its source ({origin}), whose terms may bind you as well."
    )
    return f"{text} They follow.\n\n{terms.strip()}\n" if terms else f"{text}\n"
