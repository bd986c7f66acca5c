from __future__ import annotations

import pytest
import torch
from torch import Tensor

from idtd_cli.method.normalisation import Normalisation
from idtd_cli.method.real_clips import RealClips
from idtd_cli.method.temporal_augmentation import TemporalAugmentation
from idtd_cli.method.views import RealViews
from idtd_cli.recipe import DistillConfig

CLASSES, CLIPS, FRAMES, SIZE = 3, 6, 4, 256
AT_A_TIME = (1 << 21) // (FRAMES * 3 * SIZE * SIZE)


def real_views() -> RealViews:
    clips = torch.randint(256, (CLASSES * CLIPS, 6, 3, SIZE, SIZE), dtype=torch.uint8)
    real = RealClips(clips, torch.arange(CLASSES).repeat_interleave(CLIPS), CLASSES)
    return RealViews(real, Normalisation((0.5,) * 3, (0.2,) * 3, "cpu"), TemporalAugmentation(1), FRAMES)


@pytest.mark.parametrize("batch", [1, 5])
def test_what_is_embedded_piece_by_piece_are_the_views_of_the_turn(batch: int) -> None:
    views, config = real_views(), DistillConfig(batch_real=batch, seed=3)
    seen: list[int] = []

    def embed(x_B3THW: Tensor) -> Tensor:
        assert x_B3THW.is_contiguous(memory_format=torch.channels_last_3d)
        seen.append(len(x_B3THW))
        return x_B3THW.flatten(1)

    found = views.embedded(embed, config, turn=5)
    assert torch.equal(found, views.of_turn(config, turn=5).flatten(1))
    assert max(seen) == min(AT_A_TIME, CLASSES * batch)
    assert sum(seen) == CLASSES * batch
    assert views.shown == 2 * CLASSES * batch


def test_nothing_is_kept_for_gradients_of_real_clips() -> None:
    weight = torch.ones(1, requires_grad=True)
    found = real_views().embedded(lambda x: x.flatten(1) * weight, DistillConfig(batch_real=2), turn=0)
    assert not found.requires_grad
