"""Static-dynamic disentanglement: videos of still images and of what moves in them, which pairs share.

Wang, Xu, Lu & Li, "Dancing with Still Images: Video Distillation via Static-Dynamic Disentanglement", CVPR 2024.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from idtd_cli.baselines.packing import packed
from idtd_cli.method.parametrisation import Parametrisation, Stored
from idtd_cli.recipe import StaticDynamicConfig


class StaticDynamicVideos(Parametrisation):
    """A video for every pair of an image and a memory that belong together.

    S images (3, H, W) and D memories (F, 1, H, W) belong together, and take the place of one clip of F frames, of which
    a video has P: U = C·I·P such units, N = C·I·S·D videos of T = P·F frames. One 3-D convolution, which all pairs
    share, turns the image, the same in every frame, and the memory beside it as a fourth channel into a clip.

    The images are learnt first, in the first `image_steps` steps, as still videos; then they are frozen, and the
    memories and the convolution are learnt.
    """

    def __init__(
        self, config: StaticDynamicConfig, images_US3HW: Tensor, frames: int, image_steps: int, clips_a_video: int = 1
    ) -> None:
        """Start from these images, normalised, in class order; memories of F = `frames` frames start as noise."""
        super().__init__()
        self.config, self.image_steps, self.segments = config, image_steps, clips_a_video
        units, _, _, height, width = images_US3HW.shape
        self.images_US3HW = nn.Parameter(images_US3HW.clone())
        self.memories_UDF1HW = nn.Parameter(torch.randn(units, config.memories, frames, 1, height, width))
        self.convolution = nn.Conv3d(4, 3, kernel_size=3, padding=1)

    def forward(self) -> Tensor:
        return self._render(self.images_US3HW)

    def at(self, step: int) -> Tensor:
        if step < self.image_steps:
            return self._videos(self._stills(self.images_US3HW))
        return self._render(self.images_US3HW.detach())

    def shared(self) -> list[nn.Parameter]:
        return list(self.convolution.parameters())

    def step_sizes(self) -> list[dict[str, object]]:
        return [
            {"params": [self.images_US3HW], "lr": self.config.image_step_size},
            {"params": [self.memories_UDF1HW], "lr": self.config.memory_step_size},
            {"params": list(self.convolution.parameters()), "lr": self.config.convolution_step_size},
        ]

    def stored(self, videos_NT3HW: Tensor) -> Stored:
        """Images, memories and the convolution: the videos can be rendered from them at any time."""
        units = len(videos_NT3HW) // self.config.videos * self.segments
        values = units * (self.images_US3HW[0].numel() + self.memories_UDF1HW[0].numel())
        return Stored(values, sum(weight.numel() for weight in self.convolution.parameters()))

    def _videos(self, clips_USDF3HW: Tensor) -> Tensor:
        """The clips of P units in a row, pair by pair one after another: (N, T, 3, H, W)."""
        # The clips that make a video lie behind one another then, and the pairs of a unit apart.
        clips_VSDPF3HW = clips_USDF3HW.unflatten(0, (-1, self.segments)).movedim(1, 3)
        return packed(clips_VSDPF3HW.flatten(0, 3), self.segments)

    def _stills(self, images_US3HW: Tensor) -> Tensor:
        """The image of every pair in every frame, (U, S, D, F, 3, H, W)."""
        memories, frames = self.memories_UDF1HW.shape[1:3]
        return images_US3HW[:, :, None, None].expand(-1, -1, memories, frames, -1, -1, -1)

    def _render(self, images_US3HW: Tensor) -> Tensor:
        stills_USDF3HW = self._stills(images_US3HW)
        memories_USDF1HW = self.memories_UDF1HW[:, None].expand(-1, stills_USDF3HW.shape[1], -1, -1, -1, -1, -1)
        pairs_BF4HW = torch.cat([stills_USDF3HW, memories_USDF1HW], dim=4).flatten(0, 2)
        clips_B3FHW: Tensor = self.convolution(pairs_BF4HW.transpose(1, 2))
        return self._videos(clips_B3FHW.transpose(1, 2).unflatten(0, stills_USDF3HW.shape[:3]))
