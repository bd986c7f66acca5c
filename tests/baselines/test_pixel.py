from __future__ import annotations

import torch

from idtd_cli.baselines.pixel import PixelVideos
from idtd_cli.recipe import PixelConfig


def test_the_videos_are_their_own_pixels() -> None:
    start = torch.randn(2, 1, 3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    before = start[:, 0].transpose(1, 2).clone()
    videos = PixelVideos(PixelConfig(step_size=0.5), start)
    assert torch.equal(videos(), before)
    assert (videos.segments, videos.diversity) == (1, 0)

    optimiser = torch.optim.SGD(videos.step_sizes())
    videos()[1, 2].sum().backward()
    optimiser.step()
    expected = before.clone()
    expected[1, 2] -= 0.5
    assert torch.equal(videos(), expected)
    assert torch.equal(start[:, 0].transpose(1, 2), before)


def test_pieces_lie_along_time() -> None:
    pieces = torch.arange(6.0).view(2, 3, 1, 1, 1, 1).expand(2, 3, 3, 2, 4, 4)
    videos = PixelVideos(PixelConfig(segments=3), pieces)
    assert videos.segments == 3
    assert videos()[:, :, 0, 0, 0].tolist() == [[0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 5, 5]]
