from __future__ import annotations

import torch

from idtd_cli.baselines.pixel import PixelVideos
from idtd_cli.recipe import PixelConfig


def test_the_videos_are_their_own_pixels() -> None:
    start = torch.randn(2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    before = start.clone()
    videos = PixelVideos(PixelConfig(step_size=0.5), start)
    assert torch.equal(videos(), start)
    assert (videos.segments, videos.diversity) == (1, 0)

    optimiser = torch.optim.SGD(videos.step_sizes())
    videos()[1, 2].sum().backward()
    optimiser.step()
    expected = before.clone()
    expected[1, 2] -= 0.5
    assert torch.equal(videos(), expected)
    assert torch.equal(start, before)
