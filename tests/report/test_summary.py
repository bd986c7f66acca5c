from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli import recipe
from idtd_cli.report import chart, summary
from idtd_cli.report.document import Difference, Spread
from tests.report.making import report, result

MIXED = report(
    result("full", None, [0.9]),
    result("random", 5, [0.4]),
    result("idtd", 5, [0.8]),
    result("idtd", 1, [0.7], set="b"),
    result("idtd", 1, [0.6], set="a"),
    result("pixel", 1, [0.5]),
    result("random", 1, [0.3]),
)


def test_small_sets_come_first_and_the_simplest_method_of_each_size() -> None:
    found = [(r.ipc, r.method, r.set) for r in summary.ordered(MIXED)]
    assert found == [
        (1, "random", None),
        (1, "pixel", "pixel"),
        (1, "idtd", "a"),
        (1, "idtd", "b"),
        (5, "random", None),
        (5, "idtd", "idtd"),
        (None, "full", None),
    ]


def test_every_method_has_a_title_and_a_colour() -> None:
    methods = {*get_args(recipe.Method), "random", "full", "other"}
    assert set(summary.TITLES) == set(chart._COLOURS) == methods
    for drawn in (summary.TITLES, chart._COLOURS):
        assert len(set(drawn.values())) == len(methods)


def test_mean_and_standard_deviation_in_per_cent() -> None:
    assert summary.percent(Spread.of([0.5, 0.7])) == "60.0 ± 14.1"
    assert summary.percent(Spread.of([1.0])) == "100.0 ± 0.0"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (1500, "1.5 KB"),
        (99_900, "99.9 KB"),
        (150_000, "150 KB"),
        (2_000_000, "2.0 MB"),
        (3 * 10**9, "3.0 GB"),
        (4 * 10**12, "4.0 TB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert summary.size(count) == text


@given(st.integers(0, 10**15))
def test_a_size_is_right_within_its_digits(count: int) -> None:
    amount, unit = summary.size(count).split()
    factor = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[unit]
    assert float(amount) * factor == pytest.approx(count, rel=0.06)
    assert len(amount) <= 5


def test_a_row_a_result() -> None:
    header, *rows = summary.table(MIXED)
    assert header == ("trained on", "videos/class", "top-1 %", "95 % interval", "students", "stored", "frames")
    assert rows[0] == ("random real clips", "1", "30.0 ± 0.0", "25.0 to 35.0", "1", "1.5 KB", "16")
    assert [row[0] for row in rows] == [
        "random real clips", "pixel matching", "IDTD (a)", "IDTD (b)", "random real clips", "IDTD", "full data",
    ]  # fmt: skip
    assert rows[-1][1] == "all"


def test_a_method_that_needs_a_note_has_one() -> None:
    assert summary.notes(MIXED) == []
    noted = report(result("static-dynamic", 1, [0.5]), result("random", 1, [0.3]))
    (note,) = summary.notes(noted)
    assert "counted as what its videos are rendered from" in note
    assert note in summary.reading(noted)


def test_top5_has_a_column_where_there_is_one() -> None:
    some = report(result("full", None, [0.5], top5=Spread.of([0.8, 0.9])), result("idtd", 1, [0.5]))
    header, idtd, full = summary.table(some)
    assert header[4] == "top-5 %"
    assert (idtd[4], full[4]) == ("", "85.0 ± 7.1")


def test_a_difference_inside_the_noise_is_called_that() -> None:
    def apart(one: str, other: str, top1: float, *interval: float) -> Difference:
        return Difference(one=one, other=other, ipc=1, students=2, top1=top1, interval=interval)  # type: ignore[arg-type]

    pairs = (
        apart("a", "random", 0.3, 0.2, 0.4), apart("b", "random", 0.05, -0.01, 0.1), apart("b", "a", -0.25, -0.3, -0.2),
    )  # fmt: skip
    results = [result("idtd", 1, [0.6], set="a"), result("pixel", 1, [0.35], set="b"), result("random", 1, [0.3])]
    found = report(*results, differences=pairs)
    lines = [
        "IDTD (a) against random real clips, 1 a class: +30.0 points, +20.0 to +40.0: better",
        "pixel matching (b) against random real clips, 1 a class: +5.0 points, -1.0 to +10.0: within the noise",
        "pixel matching (b) against IDTD (a), 1 a class: -25.0 points, -30.0 to -20.0: worse",
    ]
    assert summary.differences(found) == lines


def test_class_by_class() -> None:
    found = report(result("idtd", 1, [0.6], confusion=((9, 1), (0, 0))), result("random", 1, [0.3]))
    assert summary.per_class(found) == [
        ("class", "random real clips, 1", "IDTD, 1"), ("left", "75", "90"), ("right", "50", "–"),
    ]  # fmt: skip


def test_what_came_out_in_one_sentence() -> None:
    pair = Difference(one="b", other="random", ipc=1, students=1, top1=0.4, interval=(0.3, 0.5))
    several = report(
        result("full", None, [0.9]),
        result("idtd", 1, [0.7], set="b"),
        result("pixel", 1, [0.5]),
        result("random", 1, [0.3]),
        result("random", 5, [0.4]),
        differences=(pair,),
    )
    assert summary.finding(several) == (
        "Trained on IDTD (b), 1 a class, 1.5 KB, students find 70.0 % of the test videos, the highest of 2 sets; on "
        "random real clips of as many bytes, 30.0 % (the set is better); on the full data, 90.0 %; by chance, 50.0 %."
    )
    alone = report(result("idtd", 1, [0.7]), scored_split="validation")
    assert summary.finding(alone) == (
        "Trained on IDTD, 1 a class, 1.5 KB, students find 70.0 % of the validation videos; by chance, 50.0 %."
    )


def test_protocol_and_provenance_are_rows() -> None:
    found = report()
    assert ("evaluate.fit.weight_decay", "0.0005") in summary.protocol(found)
    assert ("evaluate.fit.flip", "false") in summary.protocol(found)
    assert summary.provenance(found) == [
        ("hardware", "a machine"), ("software", f"{found.created_by}; python 3, torch 2"), ("prepared", "0123"),
        ("evaluate", "4567"),
    ]  # fmt: skip


def test_each_key_of_the_protocol_can_be_set_as_it_is_written() -> None:
    overrides = [f"{key}={value}" for key, value in summary.protocol(report())]
    assert recipe.load("demo", overrides).evaluate == report().protocol
