from __future__ import annotations

import torch

from idtd_cli.baselines.packing import packed


def test_clips_lie_one_after_another() -> None:
    clips = torch.arange(6 * 4).view(6, 4, 1, 1, 1)
    videos = packed(clips, 3)
    assert videos.flatten(1).tolist() == [list(range(12)), list(range(12, 24))]
    assert torch.equal(packed(clips, 1), clips)
