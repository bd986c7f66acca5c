from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

from PIL import Image

from idtd_cli.report import html
from idtd_cli.report.contact_sheet import contact_sheet
from idtd_cli.report.document import Difference, ReportDocument
from tests.report.making import report, result

EVIL = '<script>alert("1")</script>'
SHEET = contact_sheet((), {})


class Page(HTMLParser):
    """The tags, their attributes, and the text of a page."""

    def __init__(self, given: ReportDocument, sheet: Image.Image = SHEET) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.source = html.render(given, sheet)
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_what_the_report_says() -> None:
    page = Page(report())
    assert not page.open
    for text in ("bars", "60.0 ± 14.1", "IDTD", "a machine", "fit.weight_decay", "0.0005", "0123", "torch 2"):
        assert text in page.text
    assert page.tags.count("svg") == 1


def test_the_page_needs_no_other_file() -> None:
    page = Page(report())
    assert page.links
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert "@import" not in page.source
    assert "url(http" not in page.source


def test_the_sheet_is_in_the_page() -> None:
    sheet = Image.new("RGB", (30, 20), "red")
    (link,) = [link for link in Page(report(), sheet).links if link.startswith("data:")]
    found = Image.open(io.BytesIO(base64.b64decode(link.partition(",")[2])))
    assert found.size == (30, 20)
    assert found.getpixel((5, 5)) == (255, 0, 0)


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
    page = Page(evil, contact_sheet((EVIL, "b"), {}))
    assert "script" not in page.tags
    assert page.text.count(EVIL) >= 7


def test_scores_for_tuning_are_marked() -> None:
    mark = "for tuning, not for publication"
    assert mark in Page(report(scored_split="validation")).text
    assert mark not in Page(report()).text


def test_differences_classes_and_confusions_are_in_the_page() -> None:
    pair = Difference(one="idtd", other="random", ipc=1, students=1, top1=0.3, interval=(0.2, 0.4))
    page = Page(report(differences=(pair,)))
    assert not page.open
    for text in ("IDTD against random real clips, 1 a class: +30.0 points", "Class by class", "taken for what: IDTD"):
        assert text in page.text
    assert page.tags.count("details") == 1  # of the set; random clips and the full data are references
    assert "Differences" not in Page(report()).text


def test_a_confusion_matrix_of_many_classes_is_left_out() -> None:
    names = tuple(f"class {number}" for number in range(61))
    matrix = tuple(tuple(2 * (row == column) for column in names) for row in names)
    many = report(result("idtd", 1, [1.0], confusion=matrix), classes=names)
    assert "details" not in Page(many).tags
    assert "class 60" in Page(many).text
