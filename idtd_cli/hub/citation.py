"""How a published set is cited: CITATION.cff beside it, and the entry on its card."""

from __future__ import annotations

from typing import Any

import yaml

#: The paper of the method, (family name, initials) first.
_AUTHORS = (("Zhao", "Y."), ("Zhao", "H."), ("Wen", "B."), ("Ong", "Y.-S."), ("Zhou", "J. T."))
_TITLE = "Video Set Distillation: Information Diversification and Temporal Densification"
_ARXIV, _YEAR = "2412.00111", 2024


def render(name: str, page: str, title: str, digest: str, source: str | None) -> str:
    """CITATION.cff of a set, in version 1.2.0 of the Citation File Format.

    What only its publisher knows is left out: people, a date, a DOI.

    Args:
        name: OWNER/NAME; the owner stands as the author.
        page: its address.
        title: of the set.
        digest: of the set.
        source: what its videos were made of, if that is known.
    """
    facts: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this set, please cite it, the paper whose method it was made by, and the source of its "
        "videos.",
        "type": "dataset",
        "title": f"{name}: {' '.join(title.split())}",
        "authors": [{"name": name.partition("/")[0]}],
        "url": page,
        "identifiers": [{"type": "other", "value": f"sha256:{digest}", "description": "of SHA256SUMS of the set"}],
        "references": [_paper(), *([_dataset(source)] if source else []), _software()],
    }
    return yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=1000)


def bibtex() -> str:
    """The paper of the method."""
    authors = " and ".join(f"{family}, {given}" for family, given in _AUTHORS)
    return (
        f"@article{{zhao2024videoset,\n  title   = {{{_TITLE}}},\n  author  = {{{authors}}},\n"
        f"  journal = {{arXiv preprint arXiv:{_ARXIV}}},\n  year    = {{{_YEAR}}}\n}}"
    )


def _paper() -> dict[str, Any]:
    return {
        "type": "article",
        "title": _TITLE,
        "authors": [{"family-names": family, "given-names": given} for family, given in _AUTHORS],
        "year": _YEAR,
        "journal": "arXiv",
        "identifiers": [{"type": "other", "value": f"arXiv:{_ARXIV}"}],
        "url": f"https://arxiv.org/abs/{_ARXIV}",
    }


def _dataset(source: str) -> dict[str, Any]:
    called = " ".join(source.split()) or "unnamed"
    return {"type": "data", "title": called, "authors": [{"name": f"The authors of {called}"}]}


def _software() -> dict[str, Any]:
    return {"type": "software", "title": "idtd", "authors": [{"name": "The idtd developers"}], "license": "Apache-2.0"}
