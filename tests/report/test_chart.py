from __future__ import annotations

import re
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from idtd_cli.report import chart
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
