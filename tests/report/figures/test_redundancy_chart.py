from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from idtd_cli.report.document import Spread
from idtd_cli.report.figures.redundancy_chart import correlation, redundancy_chart
from idtd_cli.report.redundancy import ClassRedundancy


def classes(count: int) -> list[ClassRedundancy]:
    rng = np.random.default_rng(0)
    spreads = [Spread.of([float(value)]) for value in rng.random(2 * count)]
    return [ClassRedundancy(f"class {n}", 9, spreads[2 * n], spreads[2 * n + 1]) for n in range(count)]


@given(arrays(np.float64, 8, elements=st.floats(-5, 5)), arrays(np.float64, 8, elements=st.floats(-5, 5)))
def test_a_correlation_lies_in_its_range(x: np.ndarray, y: np.ndarray) -> None:
    r, low, high = correlation(x, y)
    assert -1 - 1e-9 <= low <= high <= 1 + 1e-9
    assert -1 - 1e-9 <= r <= 1 + 1e-9
    if x.std() > 0.1 and y.std() > 0.1:
        assert r == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_what_goes_together_is_told_from_what_does_not() -> None:
    found = classes(12)
    together = {each.name: 10 * each.inter.mean for each in found if each.inter}
    words = redundancy_chart(found, together, "IDTD", "pixel").words
    inter, within = (line for line in words.splitlines() if line.startswith("- "))
    assert "r = +1.00" in inter
    assert "beyond the noise" in inter
    assert "do not show one" in within


def test_the_numbers_are_those_of_the_drawing() -> None:
    found = [*classes(3), ClassRedundancy("lonely", 1, None, Spread.of([0.5]))]
    figure = redundancy_chart(found, {"class 0": 1.0, "class 1": -2.0, "class 2": 0.0, "lonely": 9.0}, "IDTD", "pixel")
    header, *rows = csv.reader(io.StringIO(figure.csv))
    assert header == ["class", "inter_sample", "within_sample", "gain_points"]
    assert [(row[0], float(row[3])) for row in rows] == [("class 0", 1.0), ("class 1", -2.0), ("class 2", 0.0)]
    assert "over 3 classes" in figure.words
    assert set(figure.files()) == {f"redundancy.{end}" for end in ("png", "svg", "csv", "md")}
