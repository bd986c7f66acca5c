from __future__ import annotations

import io
import re
import warnings
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from idtd_cli.report import chart
from idtd_cli.report.document import Spread
from idtd_cli.report.redundancy import ClassRedundancy
from tests.report.making import report, result

_SVG = "{http://www.w3.org/2000/svg}"
SEVERAL = (
    result("random", 1, [0.2], interval=(0.1, 0.3)),
    result("random", 5, [0.4], interval=(0.3, 0.5)),
    result("idtd", 1, [0.5], set="a", interval=(0.4, 0.6)),
    result("idtd", 1, [0.7], set="b", interval=(0.55, 0.9)),
    result("idtd", 5, [0.8], interval=(0.7, 0.9)),
    result("pixel", 1, [0.3]),
    result("full", None, [0.9]),
)


def test_a_curve_is_what_goes_by_one_name_and_has_several_sizes() -> None:
    random, idtd = chart.curves(report(*SEVERAL))
    assert (random.method, random.points) == ("random", ((1, 0.2, 0.1, 0.3), (5, 0.4, 0.3, 0.5)))
    assert (idtd.title, idtd.soft_labels) == ("IDTD", False)
    assert idtd.points == (pytest.approx((1, 0.6, 0.4, 0.9)), (5, 0.8, 0.7, 0.9))
    soft = chart.curves(report(*SEVERAL, result("idtd", 5, [0.1], soft_labels=True, set="soft")))
    assert soft == [random, idtd]  # one size of it
    assert chart.curves(report()) == []
    assert chart.curves_svg(report()) == ""


def places(svg: str, colour: str) -> list[tuple[float, float]]:
    """The points of the line of a colour."""
    for path in ElementTree.fromstring(svg).iter(f"{_SVG}path"):
        style = path.get("style", "")
        if "fill: none" in style and f"stroke: {colour}" in style and "stroke-width: 1.5" in style:
            return [(float(x), float(y)) for x, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", path.get("d", ""))]
    raise AssertionError(colour)


def test_lines_are_where_the_means_are() -> None:
    svg = chart.curves_svg(report(*SEVERAL))
    assert ElementTree.fromstring(svg).tag == f"{_SVG}svg"
    (left, low), (right, high) = places(svg, chart.colour("random"))
    (_, idtd), (_, best) = places(svg, chart.colour("idtd"))
    assert left < right
    assert (low - idtd) / (low - high) == pytest.approx(0.4 / 0.2, rel=1e-3)
    assert (low - best) / (low - high) == pytest.approx(0.6 / 0.2, rel=1e-3)
    assert svg.count("fill-opacity: 0.15") == 2


def test_words_of_a_chart_are_text_in_the_colour_of_the_page() -> None:
    svg = chart.curves_svg(report(*SEVERAL, scored_split="validation"))
    text = "".join(ElementTree.fromstring(svg).itertext())
    for words in ("videos a class", "top-1 on validation, %"):
        assert words in text
    assert "currentColor" in svg
    assert "#000000" not in svg
    assert "#ffffff" not in svg


def test_the_same_report_gives_the_same_bytes_and_leaves_matplotlib_alone() -> None:
    before = mpl.rcParams["svg.hashsalt"], mpl.rcParams["svg.fonttype"]
    assert chart.curves_svg(report(*SEVERAL)) == chart.curves_svg(report(*SEVERAL))
    assert (mpl.rcParams["svg.hashsalt"], mpl.rcParams["svg.fonttype"]) == before


def dots(png: bytes) -> int:
    """Pixels in the colour of the dots."""
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return int((np.abs(picture - (0x25, 0x63, 0xEB)).sum(2) < 12).sum())


def point(name: str, inter: float | None, within: float | None) -> ClassRedundancy:
    both = (None if value is None else Spread.of([value, value]) for value in (inter, within))
    return ClassRedundancy(name, 9, *both)


def test_a_class_is_a_dot() -> None:
    one = chart.redundancy_png([point("a", 0.1, 0.5)])
    two = chart.redundancy_png([point("a", 0.1, 0.5), point("b", 0.3, 0.2)])
    assert dots(two) == pytest.approx(2 * dots(one), rel=0.1)
    unknown = [point("a", 0.1, 0.5), point("b", None, 0.2), point("c", 0.1, None)]
    assert dots(chart.redundancy_png(unknown)) == dots(one)
    assert dots(chart.redundancy_png([point("b", None, None)])) == 0


@pytest.mark.parametrize("name", ["", "$x$", "$\\frac", "naïve 跑步", "a\nb", "x" * 200])
def test_any_class_name_can_be_drawn_without_a_word(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dots(chart.redundancy_png([point(name, 0.1, 0.5)])) > 0


def test_the_same_redundancy_gives_the_same_bytes() -> None:
    found = [point("a", 0.1, 0.5), point("b", 0.3, 0.2)]
    assert chart.redundancy_png(found) == chart.redundancy_png(found)
