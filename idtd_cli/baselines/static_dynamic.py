"""Static-dynamic disentanglement: videos of still images and of what moves in them, which pairs share.

Wang, Xu, Lu & Li, "Dancing with Still Images: Video Distillation via Static-Dynamic Disentanglement", CVPR 2024.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from idtd_cli.method.parametrisation import Parametrisation, Stored
from idtd_cli.recipe import StaticDynamicConfig


class StaticDynamicVideos(Parametrisation):
    """A video for every pair of an image and a memory that belong together.

    S images (3, H, W) and D memories (T, 1, H, W) belong together, and take the place of one video: U = C·I such units,
    N = U·S·D videos. One 3-D convolution, which all pairs share, turns the image, the same in every frame, and the
    memory beside it as a fourth channel into a video.

    The images are learnt first, in the first `image_steps` steps, as still videos; then they are frozen, and the
    memories and the convolution are learnt.
    """

    def __init__(self, config: StaticDynamicConfig, images_US3HW: Tensor, frames: int, image_steps: int) -> None:
        """Start from these images, normalised, in class order; memories of T = `frames` frames start as noise."""
        super().__init__()
        self.config, self.image_steps = config, image_steps
        units, _, _, height, width = images_US3HW.shape
        self.images_US3HW = nn.Parameter(images_US3HW.clone())
        self.memories_UDT1HW = nn.Parameter(torch.randn(units, config.memories, frames, 1, height, width))
        self.convolution = nn.Conv3d(4, 3, kernel_size=3, padding=1)

    def forward(self) -> Tensor:
        return self._render(self.images_US3HW)

    def at(self, step: int) -> Tensor:
        if step < self.image_steps:
            return self._stills(self.images_US3HW).flatten(0, 2)
        return self._render(self.images_US3HW.detach())

    def shared(self) -> list[nn.Parameter]:
        return list(self.convolution.parameters())

    def step_sizes(self) -> list[dict[str, object]]:
        return [
            {"params": [self.images_US3HW], "lr": self.config.image_step_size},
            {"params": [self.memories_UDT1HW], "lr": self.config.memory_step_size},
            {"params": list(self.convolution.parameters()), "lr": self.config.convolution_step_size},
        ]

    def stored(self, videos_NT3HW: Tensor) -> Stored:
        """Images, memories and the convolution: the videos can be rendered from them at any time."""
        units = len(videos_NT3HW) // self.config.videos
        values = units * (self.images_US3HW[0].numel() + self.memories_UDT1HW[0].numel())
        return Stored(values, sum(weight.numel() for weight in self.convolution.parameters()))

    def _stills(self, images_US3HW: Tensor) -> Tensor:
        """The image of every pair in every frame, (U, S, D, T, 3, H, W)."""
        memories, frames = self.memories_UDT1HW.shape[1:3]
        return images_US3HW[:, :, None, None].expand(-1, -1, memories, frames, -1, -1, -1)

    def _render(self, images_US3HW: Tensor) -> Tensor:
        stills_USDT3HW = self._stills(images_US3HW)
        memories_USDT1HW = self.memories_UDT1HW[:, None].expand(-1, stills_USDT3HW.shape[1], -1, -1, -1, -1, -1)
        pairs_NT4HW = torch.cat([stills_USDT3HW, memories_USDT1HW], dim=4).flatten(0, 2)
        videos_N3THW: Tensor = self.convolution(pairs_NT4HW.transpose(1, 2))
        return videos_N3THW.transpose(1, 2)
