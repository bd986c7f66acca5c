from __future__ import annotations

import re

import markdown as python_markdown
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idtd_cli.report import caveats, markdown, summary
from idtd_cli.report.document import Difference
from tests.report.making import report, result

EVIL = '<img src=x onerror="a()"> [x](javascript:a) | `b` **c** _d_ &lt; \n# e'


def test_the_document_says_what_the_report_says() -> None:
    pair = Difference(one="idtd", other="random", ipc=1, students=2, top1=0.3, interval=(0.2, 0.4))
    found = report(differences=(pair,))
    text = markdown.render(found)
    assert text.startswith(f"# bars\n\n{summary.finding(found)}\n\n| trained on |")
    assert "| IDTD | 1 | 60.0 ± 14.1 | 45.0 to 75.0 | 2 | 1.5 KB | 16 |" in text
    for line in (*summary.differences(found), *caveats.caveats(found)):
        assert f"\n- {line}\n" in text
    for line in (*summary.reading(found), summary.heading(found)):
        assert f"\n\n{line}" in text
    for key, value in (*summary.protocol(found), *summary.provenance(found)):
        assert f"| {key} | {markdown.escaped(value)} |" in text
    assert re.findall(r"^## (.*)", text, re.M) == [
        "Warnings",
        "Differences",
        "How to read it",
        "Protocol",
        "Provenance",
    ]


def test_a_section_without_content_is_left_out() -> None:
    assert "## Differences" not in markdown.render(report())


def test_text_from_data_is_text() -> None:
    evil = report(result("idtd", 1, [0.5], set=EVIL), source=EVIL, classes=(EVIL, "b"), hardware=EVIL)
    shown = python_markdown.markdown(markdown.render(evil), extensions=["tables"])
    assert set(re.findall(r"<(\w+)", shown)) <= {
        "h1", "h2", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert shown.count("<h1>") == 1
    assert "&lt;img src=x onerror=" in shown


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cf"]), min_size=1, max_size=30))
def test_any_cell_stays_one_cell(cell: str) -> None:
    line = markdown.listed([("a", "b"), (cell, "x")]).splitlines()[2]
    assert len(re.split(r"(?<!\\)(?:\\\\)*\|", line)) == 4


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain words, 60.0 ± 14.1", "plain words, 60.0 ± 14.1"),
        ("slide_left-0", "slide_left-0"),
        ("_a_ b_", "\\_a\\_ b\\_"),
        ("a|b", "a\\|b"),
        ("[16, 32]", "\\[16, 32\\]"),
        ("R&D &amp; x", "R&D \\&amp; x"),
        ("a\n\n# b", "a # b"),
    ],
)
def test_only_what_markdown_would_take_for_more_is_escaped(text: str, escaped: str) -> None:
    assert markdown.escaped(text) == escaped
