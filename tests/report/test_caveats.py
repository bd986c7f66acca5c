from __future__ import annotations

from typing import Any

import pytest

from idtd_cli.report.caveats import caveats
from idtd_cli.report.document import Difference, ReportDocument, Result
from tests.report.making import report, result

FIVE = [0.7, 0.72, 0.74, 0.76, 0.78]


def sound(*more: Result, **changes: Any) -> ReportDocument:
    """A report of which nothing is to be said: two distillations, five students, enough videos, all far from chance."""
    full = {"confusion": ((400, 100), (100, 400)), "interval": (0.6, 0.8)}
    sets = [result("idtd", 1, FIVE, set=f"idtd-{seed}", seed=seed, **full) for seed in (0, 1)]
    return report(*sets, result("random", 1, FIVE, **full), *more, **{"scored_videos": 200} | changes)


def difference(low: float, high: float) -> Difference:
    return Difference(one="idtd-0", other="random", ipc=1, students=5, top1=(low + high) / 2, interval=(low, high))


def test_nothing_is_said_without_a_reason() -> None:
    assert caveats(sound(differences=(difference(0.1, 0.2),))) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"scored_split": "validation"}, "Scored on the validation split: for tuning, not for publication."),
        ({"scored_videos": 80}, "Few test videos: each of the 80 is 1.2 points of a student's score."),
        ({"differences": (difference(-0.1, 0.2),)}, "The difference is within the noise, and no ranking."),
        (
            {"differences": (difference(-0.1, 0.2), difference(0.1, 0.2))},
            "1 of 2 differences is within the noise, and no ranking.",
        ),
        (
            {"differences": (difference(-0.1, 0.2), difference(-0.1, 0))},
            "2 of 2 differences are within the noise, and no ranking.",
        ),
        ({"chance": 0.65}, "Not told from chance (65.0 %): random real clips, 1 a class (60.0 to 80.0); IDTD (idtd-0), "
         "1 a class (60.0 to 80.0); IDTD (idtd-1), 1 a class (60.0 to 80.0)."),
    ],
)  # fmt: skip
def test_of_the_report(changes: dict[str, Any], told: str) -> None:
    assert caveats(sound(**changes)) == [told]


WIDE = {"confusion": ((400, 100), (100, 400)), "interval": (0.6, 0.8)}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            result("full", None, [0.9, 0.8], **WIDE),
            "Few students (2 of full data): with fewer than 5, spreads and intervals come out too small.",
        ),
        (
            result("pixel", 1, FIVE, **WIDE),
            "One distillation of pixel matching, 1 a class: what another seed of it would change is in no interval.",
        ),
        (
            result("random", 1, FIVE, stored_bytes=1400, **WIDE),
            "Not all store the same at 1 a class: from 1.4 KB (random real clips) to 1.5 KB (IDTD).",
        ),
        (
            result("full", None, FIVE, confusion=WIDE["confusion"], interval=(0.4, 0.9)),
            "Not told from chance (50.0 %): full data (40.0 to 90.0).",
        ),
    ],
)
def test_of_a_result(more: Result, told: str) -> None:
    assert caveats(sound(more)) == [told]


def test_few_students_are_counted_together() -> None:
    found = caveats(report(result("idtd", 1, [0.7]), result("random", 1, [0.2]), result("full", None, [0.5, 0.5])))
    assert found[0].startswith("Few students (1 of each of 2 results; 2 of full data): with fewer than 5")


def test_one_distillation_of_all_is_told_once() -> None:
    found = caveats(report(result("idtd", 1, [0.7], seed=0), result("pixel", 1, [0.7], seed=0)))
    assert "One distillation of each set: what another seed of it would change is in no interval." in found


def test_classes_with_few_videos_are_named_and_counted() -> None:
    names = tuple("abcdefg")
    matrix = tuple(tuple((10, 5, 6, 7, 8, 9, 0)[row] * (row == column) for column in range(7)) for row in range(7))
    found = caveats(report(result("idtd", 1, [0.7], confusion=matrix), classes=names))
    assert "No test video of g." in found
    assert (
        "Few test videos of some classes (b 5; c 6; d 7; e 8; and 1 more): their shares move in large steps." in found
    )
