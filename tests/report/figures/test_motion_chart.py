from __future__ import annotations

import csv
import io

import torch

from idtd_cli.report.figures.motion_chart import motion_chart, stretches


def test_a_video_in_segments_is_as_many_stretches() -> None:
    videos = torch.arange(2 * 6).view(2, 6, 1, 1, 1).expand(2, 6, 3, 4, 4)
    pieces = stretches(videos, 3)
    assert pieces[:, :, 0, 0, 0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]


def test_what_changes_more_is_said_to_change_more() -> None:
    still = torch.full((3, 4, 3, 16, 16), 99, dtype=torch.uint8)
    noise = torch.randint(0, 256, still.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    figure = motion_chart({"real clips": noise, "still": still}, frozenset({"real clips"}))
    real, other = csv.DictReader(io.StringIO(figure.csv))
    assert (real["videos"], real["real"], real["n"], real["frames"]) == ("real clips", "True", "3", "4")
    assert float(real["energy"]) > 0.1
    assert float(other["energy"]) == float(other["flow"]) == 0
    assert "| still | 3 | 4 | 0.00 ± 0.00 | 0.000 ± 0.000 |" in figure.words
