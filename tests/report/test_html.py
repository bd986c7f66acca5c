from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from idtd_cli.report import caveats, html, summary
from idtd_cli.report.document import Difference, ReportDocument
from idtd_cli.report.videos import Shown
from tests.report.making import report, result

EVIL = '<script>alert("1")</script>'
NONE = Shown()
VIDEOS = Shown((("left", (("real", "data:video/mp4;base64,AA"), ("IDTD", "data:video/mp4;base64,AB"))),), "Left out.")


class Page(HTMLParser):
    """The tags, their attributes, and the text of a page."""

    def __init__(self, given: ReportDocument, videos: Shown = NONE) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.source = html.render(given, videos)
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_what_the_report_says() -> None:
    found = report()
    page = Page(found)
    assert not page.open
    told = [summary.finding(found).replace(" %", "\u00a0%"), summary.heading(found), *caveats.caveats(found)]
    cells = [cell for rows in (summary.table(found), summary.protocol(found), summary.provenance(found)) for row in rows
             for cell in row]  # fmt: skip
    for text in (*told, *summary.reading(found), *cells):
        assert text in page.text


def test_the_page_needs_no_other_file() -> None:
    page = Page(report(result("idtd", 1, [0.5]), result("idtd", 5, [0.5])), VIDEOS)
    assert page.links
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert "@import" not in page.source
    assert "url(http" not in page.source
    assert "default-src 'none'" in page.source


def test_a_result_is_a_bar() -> None:
    found = Page(report(result("idtd", 1, [0.5, 0.7], interval=(0.4, 0.75)), result("random", 1, [0.3]))).source
    assert '<i class="fill" style="width:60.00%;background:#2563eb">' in found
    assert '<i class="range" style="left:40.00%;width:35.00%">' in found
    for place in ("50.00", "70.00", "30.00"):
        assert f'<i class="dot" style="left:{place}%">' in found
    assert found.count('<i class="chance" style="left:50.00%">') == 2


def test_curves_are_drawn_where_something_has_several_sizes() -> None:
    assert "svg" not in Page(report()).tags
    page = Page(report(result("idtd", 1, [0.5]), result("idtd", 5, [0.6]), result("random", 1, [0.6])))
    assert page.tags.count("svg") == 1
    assert "Accuracy over videos a class" in page.text


def test_videos_are_in_the_page_with_one_button() -> None:
    page = Page(report(), VIDEOS)
    assert (page.tags.count("video"), page.tags.count("button")) == (2, 1)
    assert [link for link in page.links if link.startswith("data:video")] == [
        "data:video/mp4;base64,AA", "data:video/mp4;base64,AB",
    ]  # fmt: skip
    assert "Left out." in page.text
    assert 'aria-label="left: IDTD"' in page.source
    assert {"video", "button", "script"}.isdisjoint(Page(report()).tags)


def test_the_script_of_the_page_is_the_only_one_that_may_run() -> None:
    source = Page(report(), VIDEOS).source
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in source


def test_text_from_data_is_text() -> None:
    evil = report(
        result("idtd", 1, [0.5], set=EVIL),
        source=EVIL,
        classes=(EVIL, "b"),
        hardware=EVIL,
        versions={EVIL: EVIL},
        parents={EVIL: EVIL},
        created_by=EVIL,
    )
    page = Page(evil, Shown(((EVIL, ((EVIL, "data:,"),)),), EVIL))
    assert page.tags.count("script") == 1  # ours
    assert page.text.count(EVIL) >= 10


def test_scores_for_tuning_are_marked() -> None:
    mark = "for tuning, not for publication"
    assert mark in Page(report(scored_split="validation")).text
    assert mark not in Page(report()).text


def test_a_share_of_a_class_is_a_bar_in_its_cell() -> None:
    found = Page(report(result("idtd", 1, [0.5], confusion=((3, 1), (0, 0))))).source
    assert '<th scope="row">left</th><td style="--v:75">75</td>' in found
    assert '<th scope="row">right</th><td>–</td>' in found


def test_differences_classes_and_confusions_are_in_the_page() -> None:
    pair = Difference(one="idtd", other="random", ipc=1, students=1, top1=0.3, interval=(0.2, 0.4))
    page = Page(report(differences=(pair,)))
    assert not page.open
    for text in (
        "IDTD against random real clips, 1 a class: +30.0 points",
        "Class by class",
        "What was taken for what",
    ):
        assert text in page.text
    assert page.tags.count("details") == 1  # of the set; random clips and the full data are references
    assert "Differences" not in Page(report()).text


@pytest.mark.parametrize(
    ("classes", "sets", "shown", "told"),
    [
        (60, 2, 2, ""),
        (60, 5, 4, "The matrix of 1 more set is in report.json alone"),
        (61, 6, 4, "The matrices of 2 more sets are in report.json alone"),
        (130, 1, 0, "The matrix of 1 set is in report.json alone"),
    ],
)
def test_a_page_holds_so_many_confusion_matrices(classes: int, sets: int, shown: int, told: str) -> None:
    names = tuple(f"class {number}" for number in range(classes))
    matrix = tuple(tuple(2 * (row == column) for column in range(classes)) for row in range(classes))
    results = [result("idtd", 1, [1.0], set=f"set {number}", confusion=matrix) for number in range(sets)]
    page = Page(report(*results, classes=names))
    assert page.tags.count("details") == shown
    assert told in page.text
    assert ("in report.json alone" in page.text) == bool(told)
    assert names[-1] in page.text
