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


def bars(svg: str) -> dict[str, float]:
    """Colour → length of the bars."""
    found = {}
    for path in ElementTree.fromstring(svg).iter(f"{_SVG}path"):
        style = path.get("style", "")
        for colour in chart._COLOURS.values():
            if f"fill: {colour}" in style and "opacity: 0.85" in style:
                xs = [float(x) for x in re.findall(r"[ML] ([\d.]+) ", path.get("d", ""))]
                found[colour] = max(xs) - min(xs)
    return found


def test_bars_are_as_long_as_the_means() -> None:
    svg = chart.accuracy_svg(
        report(result("full", None, [0.8]), result("idtd", 1, [0.5, 0.7]), result("random", 1, [0.2]))
    )
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{_SVG}svg"
    length = bars(svg)
    assert length[chart._COLOURS["idtd"]] / length[chart._COLOURS["full"]] == pytest.approx(0.6 / 0.8, rel=1e-3)
    assert length[chart._COLOURS["random"]] / length[chart._COLOURS["full"]] == pytest.approx(0.2 / 0.8, rel=1e-3)


def test_words_are_drawn() -> None:
    svg = chart.accuracy_svg(report(scored_split="validation"))
    for text in ("chance", "IDTD, 1 a class", "full data", "random real clips, 1 a class", "top-1 on validation, %"):
        assert f"<!-- {text} -->" in svg


def test_the_same_report_gives_the_same_bytes_and_leaves_matplotlib_alone() -> None:
    before = mpl.rcParams["svg.hashsalt"]
    assert chart.accuracy_svg(report()) == chart.accuracy_svg(report())
    assert mpl.rcParams["svg.hashsalt"] == before


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
