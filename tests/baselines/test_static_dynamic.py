from __future__ import annotations

import pytest
import torch
from torch import Tensor

from idtd_cli.baselines.static_dynamic import StaticDynamicVideos
from idtd_cli.method.parametrisation import Stored
from idtd_cli.recipe import DistillConfig, StaticDynamicConfig

UNITS, FRAMES, SIZE, IMAGE_STEPS = 4, 5, 6, 3


def start(images: int = 2) -> Tensor:
    return torch.randn(UNITS, images, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def make(images: int = 2, memories: int = 2, clips_a_video: int = 1) -> StaticDynamicVideos:
    torch.manual_seed(0)
    config = StaticDynamicConfig(images=images, memories=memories)
    return StaticDynamicVideos(config, start(images), FRAMES, IMAGE_STEPS, clips_a_video)


def learned(videos: StaticDynamicVideos, step: int) -> set[str]:
    """What a step at this place of the run changes."""
    optimiser = torch.optim.Adam(videos.step_sizes())
    before = {name: value.clone() for name, value in videos.state_dict().items()}
    weights = torch.randn(videos().shape, generator=torch.Generator().manual_seed(2))
    (videos.at(step) * weights).sum().backward()
    optimiser.step()
    return {
        name.partition(".")[0] for name, value in videos.state_dict().items() if not torch.equal(value, before[name])
    }


@pytest.mark.parametrize(("images", "memories"), [(2, 2), (3, 1), (1, 4)])
def test_every_pair_of_a_unit_is_a_video(images: int, memories: int) -> None:
    videos = make(images, memories)
    found = videos()
    assert found.shape == (UNITS * images * memories, FRAMES, 3, SIZE, SIZE)
    expected = []
    for unit in range(UNITS):
        for image in range(images):
            for memory in range(memories):
                frames = [
                    torch.cat([videos.images_US3HW[unit, image], videos.memories_UDF1HW[unit, memory, frame]])
                    for frame in range(FRAMES)
                ]
                expected.append(videos.convolution(torch.stack(frames, dim=1)[None])[0].transpose(0, 1))
    assert torch.allclose(found, torch.stack(expected), atol=1e-5)


def test_the_images_are_learnt_first_as_still_videos_and_then_left() -> None:
    videos = make()
    stills = videos.at(IMAGE_STEPS - 1)
    assert stills.shape == videos().shape
    assert torch.equal(stills, start().repeat_interleave(2, 1).flatten(0, 1)[:, None].expand_as(stills))
    assert torch.equal(videos.at(IMAGE_STEPS), videos())
    assert learned(make(), IMAGE_STEPS - 1) == {"images_US3HW"}
    assert learned(make(), IMAGE_STEPS) == {"memories_UDF1HW", "convolution"}


def test_a_frozen_image_does_not_drift_on() -> None:
    """An optimiser moves what has a gradient of zero by its momentum."""
    videos = make()
    optimiser = torch.optim.Adam(videos.step_sizes(), betas=(0.9, 0.99))
    for step in range(IMAGE_STEPS + 2):
        if step == IMAGE_STEPS:
            frozen = videos.images_US3HW.detach().clone()
        optimiser.zero_grad(set_to_none=True)
        videos.at(step).square().sum().backward()
        optimiser.step()
    assert torch.equal(videos.images_US3HW, frozen)
    assert not torch.equal(frozen, start())


def test_each_part_has_its_step_size() -> None:
    config = StaticDynamicConfig(image_step_size=0.1, memory_step_size=0.2, convolution_step_size=0.3)
    videos = StaticDynamicVideos(config, start(), FRAMES, IMAGE_STEPS)
    sizes = {id(p): group["lr"] for group in videos.step_sizes() for p in group["params"]}  # type: ignore[attr-defined]
    assert sizes[id(videos.images_US3HW)] == 0.1
    assert sizes[id(videos.memories_UDF1HW)] == 0.2
    assert {sizes[id(weight)] for weight in videos.convolution.parameters()} == {0.3}
    assert len(sizes) == len(list(videos.parameters()))


def test_what_is_stored_are_images_memories_and_the_convolution() -> None:
    videos = make()
    values = UNITS * 2 * 3 * SIZE * SIZE + UNITS * 2 * FRAMES * SIZE * SIZE
    assert videos.stored(videos()) == Stored(values, 3 * 4 * 27 + 3)


@pytest.mark.parametrize("frames", [8, 16])
def test_as_the_peer_a_unit_stores_less_than_the_video_in_whose_place_it_is(frames: int) -> None:
    videos = StaticDynamicVideos(StaticDynamicConfig(), start(), frames, 0)
    assert videos.stored(videos()).values < UNITS * frames * 3 * SIZE * SIZE


def test_a_recipe_says_how_many_videos_there_will_be() -> None:
    section = StaticDynamicConfig(images=3, memories=2)
    config = DistillConfig(method="static-dynamic", ipc=5, static_dynamic=section)
    assert (config.videos_a_class, config.segments(4)) == (30, 1)
    assert DistillConfig(ipc=5, static_dynamic=section).videos_a_class == 5


@pytest.mark.parametrize("step", [0, IMAGE_STEPS])
def test_a_video_may_be_the_clips_of_several_units(step: int) -> None:
    clips, videos = make(2, 3).at(step), make(2, 3, clips_a_video=2).at(step)
    assert videos.shape == (UNITS // 2 * 6, 2 * FRAMES, 3, SIZE, SIZE)
    clips_US = clips.unflatten(0, (UNITS, 6))  # unit, pair
    for number, video in enumerate(videos):
        first, pair = 2 * (number // 6), number % 6
        torch.testing.assert_close(video, torch.cat([clips_US[first, pair], clips_US[first + 1, pair]]))


def test_clips_in_a_row_store_what_they_store_apart() -> None:
    one, other = make(), make(clips_a_video=2)
    assert one.stored(one()) == other.stored(other())
    assert (one.segments, other.segments) == (1, 2)
