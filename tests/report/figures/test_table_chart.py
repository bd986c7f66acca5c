from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import pytest
from PIL import Image

from idtd_cli.report import table
from idtd_cli.report.figures.table_chart import table_chart
from idtd_cli.report.table import Scores, TableDocument
from tests import tiny
from tests.report.making import report, result

REPORT = report(
    *(result("idtd", ipc, [0.5 + ipc / 20, 0.6 + ipc / 20], set=f"a{ipc}") for ipc in (1, 5)),
    *(result("random", ipc, [0.2, 0.3]) for ipc in (1, 5)),
    result("full", None, [0.95]),
)
ARMS = {"whole method": {}, "with $ & <b> in its name, and very long indeed, so long": {"distill.idtd.segments": 1}}


def made(axes: dict[str, list[object]], done: bool = True) -> TableDocument:
    content = tiny.recipe(grid={"axes": axes, "arms": ARMS})
    return table.table(
        content,
        [
            (cell, Scores(REPORT, (f"a{cell.recipes[0].distill.ipc}",), 1.0) if done else None)
            for cell in content.cells()
        ],
    )


def texts(svg: str) -> str:
    """SVG keeps what is written in comments beside its outlines."""
    return " ".join(re.findall(r"<!-- (.*?) -->", svg, re.DOTALL))


@pytest.mark.parametrize(
    "axes",
    [
        {},
        {"distill.ipc": [1, 5]},
        {"evaluate.student.name": ["convnet3d", "cnn-gru"]},
        {"distill.ipc": [1, 5], "evaluate.student.name": ["convnet3d", "cnn-gru"]},
    ],
    ids=["none", "numbers", "names", "both"],
)
def test_every_table_can_be_drawn(axes: dict[str, list[object]]) -> None:
    png, svg = table_chart(made(axes))
    assert Image.open(io.BytesIO(png)).width >= 900
    ElementTree.fromstring(svg)
    written = texts(svg)
    assert "whole method" in written
    assert "top-1, %" in written
    assert ("ipc" in written) == ("distill.ipc" in axes)
    if "evaluate.student.name" in axes:
        assert "name cnn-gru" in written


def test_the_same_table_gives_the_same_bytes() -> None:
    assert table_chart(made({"distill.ipc": [1, 5]})) == table_chart(made({"distill.ipc": [1, 5]}))


def test_what_is_not_done_is_not_drawn() -> None:
    assert "whole method" not in texts(table_chart(made({"distill.ipc": [1, 5]}, done=False))[1])


def test_an_arm_may_be_called_as_a_reference_is() -> None:
    """Random clips as a method of their own stand beside those of every report."""
    content = tiny.recipe(grid={"axes": {"distill.ipc": [1, 5]}}, methods=["idtd", "random"])
    sets = [result(method, ipc, [0.5], set=f"{method}{ipc}") for method in ("idtd", "random") for ipc in (1, 5)]
    scored = report(*sets, *(result("random", ipc, [0.2, 0.3]) for ipc in (1, 5)))
    cells = [
        (cell, Scores(scored, (f"{cell.recipes[0].distill.method}{cell.recipes[0].distill.ipc}",), 1.0))
        for cell in content.cells()
    ]
    assert texts(table_chart(table.table(content, cells))[1]).count("random") == 2


def test_panels_share_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an arm is done at one place and not at the other, its name stays with its bar."""
    content = tiny.recipe(grid={"axes": {"evaluate.student.name": ["convnet3d", "cnn-gru"]}, "arms": ARMS})
    first, second, third, _ = content.cells()
    done = Scores(REPORT, ("a1",), 1.0)
    made = table.table(content, [(first, done), (second, done), (third, None), (content.cells()[3], done)])
    written = texts(table_chart(made)[1])
    assert written.count("whole method") == 1
    assert written.count("in its name, and very long") == 1  # cut, and there
